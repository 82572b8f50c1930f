"""How a client's own words appear in the text of an error."""

import json
from collections.abc import Iterable

_LONGEST = 80


def quoted(value: object) -> str:
    """A client's value on one line, as JSON has it: in double quotes if it is text. Cut when it is long."""
    try:
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    except RecursionError:
        return "nested too deeply"
    text = on_one_line(shown, _LONGEST)
    return f'"{text}"' if isinstance(value, str) else text


def listed(names: Iterable[str]) -> str:
    """Names, each in double quotes, with commas between them."""
    return ", ".join(quoted(name) for name in names)


def on_one_line(text: str, longest: int) -> str:
    """What may hold a client's words, escaped where it can't be printed, and cut behind `longest` characters."""
    shown = text[:longest]
    if not shown.isprintable():
        shown = shown.encode("unicode_escape").decode()
    return shown if len(shown) <= longest and len(text) <= longest else shown[:longest] + "..."
