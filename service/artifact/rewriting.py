"""Writes a runtime and its precision into the text of a config.pbtxt, and leaves everything else as it is."""

import re

PRECISION = "hone.precision"

_BACKEND = re.compile(r'^(\s*backend\s*:\s*)"[^"]*"', re.MULTILINE)
_PLATFORM = re.compile(r'^\s*platform\s*:\s*"[^"]*"[ \t]*\n?', re.MULTILINE)
_VALUE = re.compile(
    r'(parameters\s*:?\s*\{\s*key\s*:\s*"'
    + re.escape(PRECISION)
    + r'"\s*,?\s*value\s*:?\s*\{\s*string_value\s*:\s*)"[^"]*"'
)


def with_runtime(text: str, *, backend: str, precision: str) -> str:
    """The configuration `text`, with this backend and `hone.precision`. `platform`, which says the same, is dropped."""
    text = _PLATFORM.sub("", text)
    text, found = _BACKEND.subn(rf'\g<1>"{backend}"', text, count=1)
    if not found:
        text = f'backend: "{backend}"\n{text}'
    text, found = _VALUE.subn(rf'\g<1>"{precision}"', text, count=1)
    if not found:
        text = (
            text.rstrip("\n")
            + f'\nparameters {{\n  key: "{PRECISION}"\n  value {{ string_value: "{precision}" }}\n}}\n'
        )
    return text
