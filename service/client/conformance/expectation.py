"""What a check demands of an answer, and what it needs to apply."""


class CheckFailed(Exception):
    """The server doesn't do what the specification says; the text has what was expected and what came."""


class CheckSkipped(Exception):
    """The check doesn't apply; the text says what is missing."""


def expect(condition: object, text: str) -> None:
    """Raise CheckFailed with `text` unless the condition holds."""
    if not condition:
        raise CheckFailed(text)


def applies(condition: object, text: str) -> None:
    """Raise CheckSkipped with `text` unless the condition holds."""
    if not condition:
        raise CheckSkipped(text)
