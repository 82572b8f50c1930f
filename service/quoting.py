"""How a client's own words appear in the text of an error."""

_LONGEST = 80


def quoted(value: object) -> str:
    """A client's value on one line, in double quotes if it is text, cut when it is long."""
    text = value if isinstance(value, str) else repr(value)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "..."
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return f'"{text}"' if isinstance(value, str) else text
