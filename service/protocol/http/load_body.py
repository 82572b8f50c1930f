"""The body of a request to load a model. Files in it are megabytes of base64, which is cut out rather than parsed."""

import binascii

import msgspec

from service.errors import InvalidRequest
from service.protocol.override import FILE, read_override
from service.quoting import on_one_line, quoted
from service.repository.override import Override

_LONGEST = 300
"""Characters of what the parser says."""
_PIECE = 1 << 20
"""Characters that are decoded at a time, a multiple of four: the interpreter is nobody else's meanwhile."""


class _LoadBody(msgspec.Struct):
    """Values stay as they were written. Found that way, 64 MB took 26 ms of the interpreter; parsed, 155."""

    parameters: dict[str, msgspec.Raw] = {}


def read_load(body: bytes) -> Override | None:
    """What a body asks for, None where it asks for nothing special. Takes a while, and is meant for a thread.

    Raises InvalidRequest or TooLarge.
    """
    if not body:
        return None
    try:
        raw = msgspec.json.decode(body, type=_LoadBody).parameters
        parameters = {key: value if key.startswith(FILE) else msgspec.json.decode(value) for key, value in raw.items()}
    except (ValueError, RecursionError) as error:  # of which the first is what is malformed, in msgspec and in UTF-8
        raise InvalidRequest(f"the JSON can't be read: {on_one_line(str(error), _LONGEST)}") from None
    return read_override(parameters, _from_base64)


def _from_base64(key: str, value: object) -> bytes:
    """The bytes that a JSON string says in base64."""
    assert isinstance(value, msgspec.Raw)
    written = memoryview(value)
    if bytes(written[:1]) != b'"':
        raise InvalidRequest(f"parameter {quoted(key)} must be a string that holds base64")
    try:
        try:
            return _decoded(written[1:-1])
        except binascii.Error:  # some escape the slash
            return _decoded(memoryview(msgspec.json.decode(value, type=str).encode()))
    except ValueError as error:
        raise InvalidRequest(f"parameter {quoted(key)} isn't base64: {error}") from None


def _decoded(text: memoryview) -> bytes:
    """Raises binascii.Error."""
    pieces = [
        binascii.a2b_base64(text[start : start + _PIECE], strict_mode=True) for start in range(0, len(text), _PIECE)
    ]
    if any(len(piece) < _PIECE // 4 * 3 for piece in pieces[:-1]):
        raise binascii.Error("Excess data after padding")
    return b"".join(pieces)
