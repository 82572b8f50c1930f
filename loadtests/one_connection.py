"""One client that waits for each answer: what a request costs when nobody else is there."""

import socket
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from loadtests.request import Request


class OneConnection:
    """Owns one keep-alive connection over a raw socket, so that the client adds as little as it can."""

    def __init__(self, url: str, request: Request) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request.raw(parts.netloc)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def timed(self) -> tuple[float, bytes]:
        """Send the request once: seconds until the whole answer was there, and its body.

        Raises ValueError for any status but 200, and OSError.
        """
        started = time.perf_counter()
        self._socket.sendall(self._request)
        body = self._receive()
        return time.perf_counter() - started, body

    def _receive(self) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        if b" 200 " not in status + b" ":
            raise ValueError(f"the server answered {status.decode()}")
        headers = dict(line.lower().split(b":", 1) for line in lines)
        if b"content-length" not in headers:
            raise ValueError("the server doesn't say how long its answer is")
        length = int(headers[b"content-length"])
        while len(body) < length:
            body += self._more()
        return body

    def _more(self) -> bytes:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data
