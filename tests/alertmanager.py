"""A real Alertmanager in a process of its own, and who it tells."""

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Told:
    """One alert in a message of Alertmanager's: who was told, whether it is firing or resolved, and which it is."""

    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Receiver:
    """Owns a web server that Alertmanager can tell: /NAME is the URL of the receiver NAME."""

    def __init__(self) -> None:
        self._ever: list[Told] = []
        self._told: list[Told] = []
        self._heard = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._hear(self.path.strip("/"), json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def wait_for(self, status: str, seconds: float, **labels: str) -> Told | None:
        """What it was or is told of an alert with this status and these labels, once; None when it is told nothing."""

        def find() -> Told | None:
            like = (told for told in self._told if told.status == status and labels.items() <= told.labels.items())
            return next(like, None)

        with self._heard:
            told = self._heard.wait_for(find, seconds)
            if told:
                self._told.remove(told)
            return told

    def settle(self, seconds: float, **labels: str) -> bool:
        """Wait until no alert with these labels was last told to be firing, then forget what was told; False when one
        goes on. One that goes on isn't told again for hours.
        """

        def is_over() -> bool:
            last = {
                tuple(sorted(one.labels.items())): one.status
                for one in self._ever
                if labels.items() <= one.labels.items()
            }
            return "firing" not in last.values()

        with self._heard:
            settled = self._heard.wait_for(is_over, seconds)
            self._told.clear()
            return settled

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _hear(self, name: str, message: dict[str, Any]) -> None:
        with self._heard:
            heard = [Told(name, one["status"], one["labels"], one["annotations"]) for one in message["alerts"]]
            self._ever += heard
            self._told += heard
            self._heard.notify_all()


class Alertmanager:
    """Asks one that runs, and gives it alerts as Prometheus does."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    @property
    def address(self) -> str:
        """Host and port, as Prometheus' configuration wants them."""
        return self._daemon.address

    def give(self, alerts: Sequence[dict[str, str]]) -> None:
        """Alerts that fire, each by its labels."""
        body = json.dumps([{"labels": labels} for labels in alerts]).encode()
        url = f"http://{self.address}/api/v2/alerts"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10):
            pass

    def alerts(self) -> list[dict[str, Any]]:
        """What it knows to fire, with its `status`: active, or suppressed and by what."""
        return list(self._daemon.ask("/api/v2/alerts"))

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait until the condition holds, for so long at most, or until the process has ended; whether it does."""
        return self._daemon.until(condition, seconds)


@contextmanager
def alerting(tool: str, config: Path, data: Path) -> Iterator[Alertmanager]:
    """An Alertmanager for the time of a block; `tool` is what `require_tool("prometheus-alertmanager")` found."""
    command = [tool, f"--config.file={config}", f"--storage.path={data}", "--web.listen-address=127.0.0.1:0"]
    daemon = Daemon([*command, "--cluster.listen-address="], data)
    try:
        daemon.wait_until_ready()
        yield Alertmanager(daemon)
    finally:
        daemon.stop()
