"""Headers that were seen before: taken for known only where the parser would find the very same."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.protocol.http.known_head import KnownHead

HEAD = b"POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-B: c\r\n\r\n"


def known(limit: int = 1000) -> KnownHead:
    head = KnownHead.of(HEAD, limit, ("m", None), {})
    assert head
    return head


def request(body: bytes, head: bytes = HEAD) -> bytes:
    return head.replace(b" 3\r\n", b" %d\r\n" % len(body)) + body


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


@given(st.binary(max_size=400))
def test_the_same_headers_with_any_body_are_known(body: bytes) -> None:
    """Whatever the length of the body is, it is found as the parser finds it."""
    assert body == known().body(request(body))
    assert body == Parsed(request(body)).body


@given(st.binary(max_size=60), st.data())
def test_a_known_request_is_what_the_parser_would_have_found(body: bytes, data: st.DataObject) -> None:
    """Whatever bytes are changed, added or cut: if it still passes for known, the parser reads exactly that."""
    piece = bytearray(request(body))
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(piece) - 1))
        change = data.draw(st.sampled_from(["set", "cut", "add"]))
        if change == "set":
            piece[position] = data.draw(st.sampled_from(list(b"0123456789\r\n :Aa")))
        elif change == "cut" and len(piece) > 1:
            del piece[position]
        else:
            piece[position:position] = data.draw(st.binary(min_size=1, max_size=3))
    found = known().body(bytes(piece))
    if found is not None:
        parsed = Parsed(bytes(piece))
        assert (1, found) == (parsed.messages, parsed.body)
        assert [b"Host", b"Content-Length", b"X-B"] == [name for name, _ in parsed.headers]


@pytest.mark.parametrize(
    "piece",
    [
        request(b"abc") + b"d",  # the next request has begun
        request(b"abc")[:-1],  # the body isn't all there
        request(b"abc").replace(b"Host: a", b"Host: b"),
        request(b"abc").replace(b" 3\r\n", b" 3 \r\n"),
        request(b"abc").replace(b" 3\r\n", b" +3\r\n"),
        request(b"abc").replace(b" 3\r\n", b" \r\n"),
        request(b"abc").replace(b" 3\r\n", b" 00000000000000000003\r\n"),
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(piece: bytes) -> None:
    """One byte too many, too few or different."""
    assert known().body(piece) is None


def test_a_body_beyond_the_limit_is_left_to_the_parser() -> None:
    """Which way it is refused is decided in one place."""
    assert known(limit=10).body(request(b"x" * 11)) is None
    assert known(limit=10).body(request(b"x" * 10)) is not None


def test_headers_with_two_lengths_are_not_kept() -> None:
    """A head whose length isn't unambiguous is parsed each time."""
    twice = HEAD.replace(b"X-B: c", b"content-length: 3")

    assert KnownHead.of(twice, 100, ("m", None), {}) is None
