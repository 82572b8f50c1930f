"""Inference messages in wire form, cut apart and put together around the bytes of their tensors.

A message is a row of fields. Those that hold tensors are cut out as views, without copying them; what is left is small,
mostly the same from request to request, and protobuf's business.

Source: Protocol Buffers documentation, "Encoding".
"""

from typing import TypeAlias

import msgspec

from service.errors import InvalidRequest, TooLarge

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ID = 3 << 3 | _BYTES
_RAW = 7 << 3 | _BYTES
_LONG = 0x80
_MOST_DIGITS = 10
"""Bytes of the longest number."""
_MOST_FIELDS = 1024

Part: TypeAlias = bytes | memoryview


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A ModelInferRequest: `head` is the message without its id and without `raw`, the raw contents of its inputs."""

    head: bytes
    id: bytes
    raw: tuple[memoryview, ...]


def split(message: bytes, max_head_bytes: int) -> Split:
    """The parts of a ModelInferRequest; `raw` are views of it.

    Raises InvalidRequest for what isn't such a message, and TooLarge if all but the raw contents is more than
    `max_head_bytes`: numbers that aren't raw take many times their size when they are parsed.
    """
    view, end = memoryview(message), len(message)
    head: list[bytes] = []
    raw: list[memoryview] = []
    name = b""
    position = fields = 0
    while position < end:
        fields += 1
        if fields > _MOST_FIELDS:
            raise InvalidRequest(f"the message has more than {_MOST_FIELDS} fields")
        start = position
        tag, position = _number(message, position)
        kind = tag & 7
        if kind == _BYTES:
            length, position = _number(message, position)
            stop = position + length
        elif kind == _VARINT:
            _, stop = _number(message, position)
        elif kind in (_FIXED64, _FIXED32):
            stop = position + (8 if kind == _FIXED64 else 4)
        else:
            raise _malformed()
        if stop > end:
            raise _malformed()
        if tag == _RAW:
            raw.append(view[position:stop])
        elif tag == _ID:
            if name:  # the last one counts, but each has to be text, which protobuf checks
                head.append(b"".join(field(_ID >> 3, name)))
            name = message[position:stop]
        else:
            head.append(message[start:stop])
        position = stop
    size = sum(map(len, head))
    if size > max_head_bytes:
        raise TooLarge(
            f"all but the raw contents of the message is {size} bytes, the limit is {max_head_bytes}: send the tensors"
            " as raw_input_contents"
        )
    return Split(head=b"".join(head), id=name, raw=tuple(raw))


def field(number: int, content: Part) -> tuple[bytes, Part]:
    """Tag and length of a field that holds bytes, and these."""
    size = content.nbytes if isinstance(content, memoryview) else len(content)
    return _varint(number << 3 | _BYTES) + _varint(size), content


def _number(message: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    try:
        value = message[position]
        if value < _LONG:
            return value, position + 1
        value &= _LONG - 1
        for digit in range(1, _MOST_DIGITS):
            byte = message[position + digit]
            value |= (byte & (_LONG - 1)) << 7 * digit
            if byte < _LONG:
                return value, position + digit + 1
    except IndexError:
        pass
    raise _malformed()


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value >= _LONG:
        digits.append(value & (_LONG - 1) | _LONG)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def _malformed() -> InvalidRequest:
    return InvalidRequest("the message isn't a ModelInferRequest: it is cut off, or was garbled")
