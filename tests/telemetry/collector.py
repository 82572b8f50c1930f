"""A collector of OpenTelemetry that keeps what it is sent: OTLP over HTTP, decoded by OpenTelemetry's own messages."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE = 10.0


@dataclass(frozen=True, kw_only=True)
class Told:
    """A span as it was sent; times are nanoseconds since the epoch, ids hexadecimal, `kind` and `status` the numbers of
    the protocol.
    """

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    kind: int
    status: int
    why: str
    links: tuple[str, ...]
    about: dict[str, Any]


@dataclass
class Collected:
    """What came, by whom it was sent, and what is answered: `status`, unless it `hangs`."""

    status: int = 200
    spans: list[Told] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def wait(self, count: int, name: str = "") -> list[Told]:
        """The spans of that name, or all, once there are so many."""
        until = time.monotonic() + PATIENCE
        while len(found := [span for span in self.spans if name in ("", span.name)]) < count:
            assert time.monotonic() < until, [span.name for span in self.spans]
            time.sleep(0.02)
        return found

    def of(self, trace: str) -> dict[str, list[Told]]:
        """The spans of a trace by their names, in the order in which they began."""
        found: dict[str, list[Told]] = {}
        for span in sorted(self.spans, key=lambda one: one.start):
            if span.trace == trace:
                found.setdefault(span.name, []).append(span)
        return found


@contextmanager
def collecting(*, status: int = 200, hangs: bool = False) -> Iterator[Collected]:
    """A collector on a free port of loopback."""
    collected = Collected(status=status)
    if not hangs:
        collected.released.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collected.paths.append(self.path)
            collected.headers.append(dict(self.headers))
            collected.released.wait(60)
            if collected.status == 200:
                _keep(collected, ExportTraceServiceRequest.FromString(body))
            self.send_response(collected.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collected
    finally:
        collected.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _keep(collected: Collected, message: Any) -> None:
    for sender in message.resource_spans:
        collected.resource = _attributes(sender.resource.attributes)
        for scope in sender.scope_spans:
            collected.spans += [
                Told(
                    name=span.name,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    kind=span.kind,
                    status=span.status.code,
                    why=span.status.message,
                    links=tuple(link.span_id.hex() for link in span.links),
                    about=_attributes(span.attributes),
                )
                for span in scope.spans
            ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
