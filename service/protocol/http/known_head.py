"""The headers of an earlier request, kept so that the same ones needn't be parsed again."""

import re
from collections.abc import Mapping

from service.errors import InvalidRequest
from service.protocol.http.head import Head, read_head
from service.protocol.http.infer_door import Route

_LENGTH = re.compile(rb"(?<=\r\n)content-length:[ \t]*([0-9]+)(?=\r\n)", re.IGNORECASE)
_MOST_DIGITS = 12


class KnownHead:
    """The headers of a fast request, byte for byte but for the number in Content-Length, and what they mean.

    A client that keeps its connection mostly sends the same headers again. When a piece begins with exactly these bytes
    and is as long as its Content-Length says, then the parser would find exactly this again, so it isn't asked: that
    saves a fifth of the work on a small request.
    """

    __slots__ = ("_after", "_before", "_limit", "head", "route")

    def __init__(self, before: bytes, after: bytes, limit: int, route: Route, head: Head) -> None:
        self._before = before
        self._after = after
        self._limit = limit
        self.route = route
        self.head = head

    @classmethod
    def of(cls, text: bytes, limit: int, route: Route, fields: Mapping[bytes, bytes]) -> "KnownHead | None":
        """What is to be known of `text`, a request up to the empty line. `limit` is that of the body's bytes."""
        found = list(_LENGTH.finditer(text))
        if len(found) != 1:
            return None
        try:
            head = read_head(fields)
        except InvalidRequest:
            return None
        start, end = found[0].span(1)
        return cls(text[:start], text[end:], limit, route, head)

    def body(self, piece: bytes) -> bytes | None:
        """The body, if `piece` is a whole request with these headers; None when the parser has to be asked."""
        before = self._before
        if not piece.startswith(before):
            return None
        start = len(before)
        end = piece.find(b"\r", start, start + _MOST_DIGITS)
        digits = piece[start:end]
        if end < 0 or not digits.isdigit() or not piece.startswith(self._after, end):
            return None
        begin = end + len(self._after)
        length = int(digits)
        return piece[begin:] if length == len(piece) - begin and length <= self._limit else None
