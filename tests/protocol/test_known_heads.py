"""Headers that were seen before: taken for known only where the parser would find the very same."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.protocol.http.known_heads import END, KnownHeads

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-B: c\r\n\r\n"
FIELDS = {b"host": b"a", b"content-length": b"3", b"x-b": b"c"}


def found(piece: bytes) -> bytes | None:
    """The body of `piece`, as a connection looks for it, where HEAD has been seen."""
    heads = KnownHeads()
    heads.learn(HEAD + b"abc", 3, ("m", None), FIELDS)
    begin = piece.find(END) + len(END)
    known = heads.known.get(piece[:begin])
    return piece[begin:] if known is not None and known.length == len(piece) - begin else None


class Parsed:
    """What httptools makes of the same bytes."""

    def __init__(self, piece: bytes) -> None:
        self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.messages = 0
        httptools.HttpRequestParser(self).feed_data(piece)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


@given(st.binary(min_size=3, max_size=3))
def test_the_same_headers_with_any_body_are_known(body: bytes) -> None:
    """Whatever the body is, it is found as the parser finds it."""
    assert body == found(HEAD + body)
    assert body == Parsed(HEAD + body).body


@given(st.binary(max_size=60), st.data())
def test_a_known_request_is_what_the_parser_would_have_found(body: bytes, data: st.DataObject) -> None:
    """Whatever bytes are changed, added or cut: if it still passes for known, the parser reads exactly that."""
    piece = bytearray(HEAD + body)
    for _ in range(data.draw(st.integers(0, 2))):
        position = data.draw(st.integers(0, len(piece) - 1))
        change = data.draw(st.sampled_from(["set", "cut", "add"]))
        if change == "set":
            piece[position] = data.draw(st.sampled_from(list(b"0123456789\r\n :Aa")))
        elif change == "cut" and len(piece) > 1:
            del piece[position]
        else:
            piece[position:position] = data.draw(st.binary(min_size=1, max_size=3))
    known = found(bytes(piece))
    if known is not None:
        parsed = Parsed(bytes(piece))
        assert (1, known) == (parsed.messages, parsed.body)
        assert [b"Host", b"Content-Length", b"X-B"] == [name for name, _ in parsed.headers]


@pytest.mark.parametrize(
    "piece",
    [
        HEAD + b"abcd",  # the next request has begun
        HEAD + b"ab",  # the body isn't all there
        HEAD.replace(b"Host: a", b"Host: b") + b"abc",
        HEAD.replace(b" 3\r\n", b" 4\r\n") + b"abcd",  # not seen yet
        HEAD.replace(b" 3\r\n", b" 3 \r\n") + b"abc",
        HEAD[:-1],
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(piece: bytes) -> None:
    """One byte too many, too few or different."""
    assert found(piece) is None


@pytest.mark.parametrize(
    "piece, length",
    [
        (HEAD + b"abc" + HEAD, 3),  # two requests came together
        (HEAD[10:] + b"abc", 10),  # its beginning came before
        (HEAD.replace(b"X-B: c", b"X-B: " + b"c" * 4096) + b"abc", 3),
    ],
)
def test_only_whole_and_short_requests_are_kept(piece: bytes, length: int) -> None:
    """What isn't exactly the request that the parser found is of no use, and nobody fills the memory with headers."""
    heads = KnownHeads()
    heads.learn(piece, length, ("m", None), FIELDS)
    assert not heads.known


def test_headers_that_are_refused_are_not_kept() -> None:
    """They are refused by what reads them, each time."""
    heads = KnownHeads()
    heads.learn(HEAD + b"abc", 3, ("m", None), {**FIELDS, b"x-request-timeout-ms": b"soon"})
    assert not heads.known


def test_whoever_sends_others_every_time_fills_no_memory() -> None:
    """The oldest make room."""
    heads = KnownHeads()
    for number in range(3000):
        heads.learn(HEAD.replace(b": c", b": %d" % number) + b"abc", 3, ("m", None), FIELDS)
    assert len(heads.known) == 1024
