"""The headers of earlier requests, kept so that the same ones needn't be parsed again."""

from collections.abc import Mapping
from typing import NamedTuple

from service.errors import InvalidRequest
from service.protocol.http.head import Head, read_head
from service.protocol.http.infer_door import Route

END = b"\r\n\r\n"
END_BYTES = len(END)
_MOST = 1024
_LONGEST = 2048
"""Bytes of headers that are worth keeping."""


class KnownHead(NamedTuple):
    """What the headers of a fast request mean, which has a body of `length` bytes and leaves its connection open."""

    route: Route
    head: Head
    length: int


class KnownHeads:
    """Owns what was learnt, by the bytes of a request up to and including its empty line, from whichever connection.

    Clients mostly send the same headers again. Where a piece begins with bytes that are known, and is as long as their
    Content-Length says, the parser would find exactly what it found then, so it isn't asked: that saves a fifth of the
    work on a small request.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, KnownHead] = {}

    def learn(self, piece: bytes, length: int, route: Route, fields: Mapping[bytes, bytes]) -> None:
        """Keep the headers of a request in which the parser found these `fields` and a body of `length` bytes, if
        `piece` is that request and nothing else.
        """
        end = piece.find(END) + END_BYTES
        if end + length != len(piece) or end > _LONGEST:
            return
        try:
            head = read_head(fields)
        except InvalidRequest:
            return
        if len(self.known) >= _MOST:
            del self.known[next(iter(self.known))]
        self.known[piece[:end]] = KnownHead(route, head, length)
