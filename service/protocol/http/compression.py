"""Bodies under a content coding: gzip, or deflate (a zlib stream, RFC 9110, section 8.4.1.2)."""

import gzip
import zlib
from collections.abc import Mapping

from service.errors import InvalidRequest, TooLarge
from service.quoting import quoted

CODINGS = frozenset({b"gzip", b"deflate"})
_SENT, _WANTED = b"content-encoding", b"accept-encoding"
_FIELDS = frozenset({_SENT, _WANTED})
_GZIP, _ZLIB, _BARE = 31, 15, -15
"""What zlib calls the formats; the last one is deflate without its envelope, as some clients send it."""
_PIECE, _MOST_MEMBERS = 65536, 1024
"""Bytes that are unpacked at a time, and gzip files that may follow each other in a body: what follows one of them is
copied with it.
"""
_LEVEL = 1
"""Tensors hardly get smaller by more effort."""


def is_coded(fields: Mapping[bytes, bytes]) -> bool:
    """Whether a request comes in a content coding, or its answer is to go out in one."""
    return not _FIELDS.isdisjoint(fields) and (bool(sent_coding(fields)) or bool(wanted_coding(fields)))


def sent_coding(fields: Mapping[bytes, bytes]) -> bytes:
    """The coding of the body, in lower case; empty for none."""
    coding = fields.get(_SENT, b"").strip().lower()
    return b"" if coding == b"identity" else coding


def wanted_coding(fields: Mapping[bytes, bytes]) -> bytes:
    """The coding that a client asks for: the only one that it accepts.

    Many clients accept several by default without a wish of their own: they are answered without, which is quicker.
    """
    coding = fields.get(_WANTED, b"").strip().lower()
    return coding if coding in CODINGS else b""


def decompress(body: bytes, coding: bytes, limit: int, text: str) -> bytes:
    """The body without its coding. Raises TooLarge, which says `text`, as soon as it has more than `limit` bytes, and
    InvalidRequest for a coding that isn't known or a body that isn't of it.
    """
    if coding not in CODINGS:
        name = quoted(coding.decode("latin-1"))
        raise InvalidRequest(f"Content-Encoding {name} isn't supported: use gzip, deflate or none")
    try:
        return _inflated(body, _GZIP if coding == b"gzip" else _ZLIB, limit, text)
    except zlib.error:
        if coding == b"gzip":
            raise _broken(coding) from None
    try:
        return _inflated(body, _BARE, limit, text)
    except zlib.error:
        raise _broken(coding) from None


def compress(body: bytes, coding: bytes) -> bytes:
    """The body in that coding."""
    return gzip.compress(body, _LEVEL, mtime=0) if coding == b"gzip" else zlib.compress(body, _LEVEL)


def _inflated(body: bytes, form: int, limit: int, text: str) -> bytes:
    """All of it; a gzip file may have several members, one after the other."""
    parts: list[bytes] = []
    left, members, position = limit + 1, 0, 0
    view = memoryview(body)
    stream = None
    while position < len(view):
        if stream is None:
            stream, members = zlib.decompressobj(form), members + 1
        piece = view[position : position + _PIECE]
        parts.append(stream.decompress(piece, left))
        left -= len(parts[-1])
        if left <= 0:
            raise TooLarge(text.format(limit))
        position += len(piece)
        if stream.eof:
            position -= len(stream.unused_data)
            stream = None
            if position < len(view) and (form != _GZIP or members == _MOST_MEMBERS):
                raise zlib.error("something follows")
    if stream is not None:
        raise zlib.error("cut off")
    return b"".join(parts)


def _broken(coding: bytes) -> InvalidRequest:
    return InvalidRequest(f"the body isn't {coding.decode()}, as Content-Encoding says, or is cut off")
