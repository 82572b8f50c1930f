"""HTTP as it goes over the wire: any method, path, header and body, and the answer with nothing undone."""

import http.client
import io
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from service.client.conformance.expectation import CheckFailed

_PIECE = 65536
_LARGEST = 64 * 1024 * 1024
"""An answer beyond this isn't read to its end: the checks ask for kilobytes."""
_BRIEF = 160


class UnreachableError(Exception):
    """Nobody answers there; the text is for the user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def brief(self) -> str:
        """Status and the beginning of the body, for a reason."""
        text = " ".join(self.body[:_BRIEF].decode("utf-8", "replace").split())
        return f"{self.status} {text}{'...' if len(self.body) > _BRIEF else ''}".strip()

    def json(self) -> Any:
        """The body as JSON, in which NaN and infinities may be bare tokens. Raises CheckFailed."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise CheckFailed(f"expected JSON, got {self.brief or 'nothing'}") from None

    def object(self) -> dict[str, Any]:
        """The body of a successful answer as a JSON object. Raises CheckFailed."""
        if self.status != 200:
            raise CheckFailed(f"expected 200, got {self.brief}")
        found = self.json()
        if not isinstance(found, dict):
            raise CheckFailed(f"expected a JSON object, got {self.brief}")
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request. A body brings its Content-Length along, unless Transfer-Encoding says how it comes."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpClient:
    """Owns the server's address, and until when the check that is running may wait for answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname or "", _port(parts)
        is_server = _is_host(host) and parts.scheme in {"http", "https"}
        if port is None or not is_server or parts.query or parts.fragment:
            raise ValueError(f"expected http://HOST:PORT, got {url}")
        self.host = host
        self.port = port
        self.tls = parts.scheme == "https"
        self._kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        self._prefix = parts.path.rstrip("/")
        self._until = float("inf")
        self.url = f"{parts.scheme}://{parts.netloc}{self._prefix}"

    def allow(self, seconds: float) -> None:
        """From now on, so much time for all that is asked."""
        self._until = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left. Raises TimeoutError when none are."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, 3600.0)

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to a GET. Raises OSError or HTTPException when there is none."""
        return self.ask(Request(method="GET", path=path, headers=headers))

    def post(self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to a POST."""
        return self.ask(Request(method="POST", path=path, body=body, headers=headers or {}))

    def ask(self, request: Request) -> Answer:
        """The answer to a request on a connection of its own."""
        return self.ask_in_turn(request)[0]

    def ask_in_turn(self, *requests: Request) -> list[Answer]:
        """The answers to requests one after the other on one connection, or on a new one where the server closes it."""
        connection = self._kind(self.host, self.port, timeout=self.remaining)
        try:
            connection.response_class = self._response  # type: ignore[assignment]  # whatever makes one
            return [self._ask(connection, request) for request in requests]
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, request: Request) -> Answer:
        connection.timeout = self.remaining
        connection.putrequest(request.method, self._prefix + request.path, skip_accept_encoding=True)
        if request.body is not None and "Transfer-Encoding" not in request.headers:
            connection.putheader("Content-Length", str(len(request.body)))
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders(request.body)
        return self._read(connection.getresponse())

    def _response(self, connection: socket.socket, **options: Any) -> http.client.HTTPResponse:
        response = http.client.HTTPResponse(connection, **options)
        response.fp = io.BufferedReader(_Timed(response.fp.detach(), connection, self))
        return response

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        body = bytearray()
        while piece := response.read1(_PIECE):
            body += piece
            if len(body) > _LARGEST:
                raise CheckFailed(f"the answer has more than {_LARGEST} bytes")
        headers = {name.lower(): value for name, value in response.getheaders()}
        response.read()  # of an answer with a length, says whether all of it came
        return Answer(status=response.status, headers=headers, body=bytes(body))


class _Timed(io.RawIOBase):
    """What `connection` brings through `raw`: each read may take what is left of the time, not anew the whole of it."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket, client: HttpClient) -> None:
        self._raw = raw
        self._connection = connection
        self._client = client

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See `io.RawIOBase`. Raises TimeoutError."""
        self._connection.settimeout(self._client.remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """See `io.IOBase`."""
        self._raw.close()
        super().close()


def _is_host(name: str) -> bool:
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def _port(parts: SplitResult) -> int | None:
    """The port of a URL; None where it has one that isn't any."""
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
