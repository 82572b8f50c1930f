"""Live uvicorn servers on loopback, and clients that see every byte."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.logs import LogControl
from service.protocol.client_memory import ClientMemory
from service.protocol.http.app import build_app
from service.protocol.http.fast import fast_protocol
from service.protocol.http.observed_app import ObservedApp
from service.protocol.http.observed_fast import observed_fast_protocol
from service.protocol.limits import Limits
from service.telemetry.calls import Calls
from tests.contract.double_engine import DoubleEngine

LIMITS = Limits(max_json_bytes=65536, max_binary_bytes=262144)
PATIENCE = 10.0


@dataclass(frozen=True, kw_only=True)
class Live:
    """A server that runs in a thread of its own."""

    port: int
    engine: DoubleEngine
    logs: LogControl
    server: uvicorn.Server
    thread: threading.Thread


@contextlib.contextmanager
def serve(
    *,
    fast: bool,
    limits: Limits = LIMITS,
    keep_alive: int = 5,
    patience: int | None = None,
    calls: Calls | None = None,
) -> Iterator[Live]:
    """A server with the fast protocol, or with uvicorn's own so that all goes through FastAPI; `calls` are told of what
    is answered.

    When it stops, it waits `patience` seconds for what is under way, or until all is answered.
    """
    engine, logs, memory = DoubleEngine(), LogControl(), ClientMemory(allowed=True)
    app, shared = build_app(engine, limits, logs, memory), (engine, limits, memory)
    protocol = observed_fast_protocol(*shared, calls) if calls else fast_protocol(*shared)
    config = uvicorn.Config(
        ObservedApp(app, calls) if calls else app,
        host="127.0.0.1",
        port=0,
        http=protocol if fast else HttpToolsProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=patience,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Live(port=port, engine=engine, logs=logs, server=server, thread=thread)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; fail after PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.005)


class Client:
    """One connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """The next response, byte for byte; an interim 100 response comes before it as it stands."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, _, body = self.rest.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            self.rest = body
            return head + b"\r\n\r\n" + self.answer()
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            self._more()
            body = self.rest.partition(b"\r\n\r\n")[2]
        self.rest = body[length:]
        return head + b"\r\n\r\n" + body[:length]

    def is_closed(self) -> bool:
        """Wait for the server to end the connection; False when it stays open for PATIENCE seconds, or sends more."""
        try:
            return self.rest == b"" and self.socket.recv(65536) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _more(self) -> None:
        data = self.socket.recv(1 << 20)
        assert data, f"the server closed the connection after {self.rest!r}"
        self.rest += data


def ask(port: int, request: bytes) -> bytes:
    """One request on a connection of its own, and its response."""
    with Client(port) as client:
        client.send(request)
        return client.answer()


def status(response: bytes) -> int:
    """The final status of a response."""
    return int(response.rpartition(b"HTTP/1.1 ")[2][:3])


def body(response: bytes) -> bytes:
    """What follows the headers of the final response."""
    return response.rpartition(b"HTTP/1.1 ")[2].partition(b"\r\n\r\n")[2]
