"""A real Prometheus in a process of its own, which scrapes what the test says."""

import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LISTENS = re.compile(r"address=(127\.0\.0\.1:[1-9][0-9]*)")
_STARTING = 30.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at a moment: labels without the name's, and the number."""

    labels: dict[str, str]
    value: float


class Prometheus:
    """Owns the process. `config` is its prometheus.yml, what that names (rules) is relative to its folder; `data` is a
    folder that nobody else uses. `tool` is what `require_tool("prometheus")` found.
    """

    def __init__(self, tool: str, config: Path, data: Path, *flags: str) -> None:
        command = [tool, f"--config.file={config}", f"--storage.tsdb.path={data}", "--web.listen-address=127.0.0.1:0"]
        self._process = subprocess.Popen(
            [*command, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=data
        )
        self._said: deque[str] = deque(maxlen=100)
        self._address = ""
        self._listens = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        return f"http://{self._address}"

    def wait_until_ready(self) -> None:
        """Raises RuntimeError with its last lines when it doesn't get ready."""
        self._listens.wait(_STARTING)
        if not self._address or not self.until(self._is_ready, _STARTING):
            self.stop()
            raise RuntimeError("Prometheus didn't get ready; it said:\n" + "".join(self._said))

    def query(self, expression: str) -> list[Sample]:
        """What an expression says now, one sample a series; a scalar has no labels. Raises ValueError if it is none."""
        found = self._ask("query", query=expression)
        if found["resultType"] == "scalar":
            return [Sample({}, float(found["result"][1]))]
        return [
            Sample({key: value for key, value in one["metric"].items() if key != "__name__"}, float(one["value"][1]))
            for one in found["result"]
        ]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule of every group, with its state and health, as Prometheus lists it."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that are pending or firing."""
        return list(self._ask("alerts")["alerts"])

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, with `health` (up, down or unknown) and `lastError`."""
        return list(self._ask("targets")["activeTargets"])

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait until the condition holds, for so long at most, or until the process has ended; whether it does."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self._process.poll() is not None:
                return False
            time.sleep(0.1)
        return True

    def stop(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._reader.join()

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {json.load(error)['error']}") from None

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _read(self) -> None:
        assert self._process.stderr
        with self._process.stderr as stream:
            for line in stream:
                self._said.append(line)
                if found := _LISTENS.search(line):
                    self._address = found[1]
                    self._listens.set()
        self._listens.set()


@contextmanager
def watching(tool: str, config: Path, data: Path, *flags: str) -> Iterator[Prometheus]:
    """A Prometheus for the time of a block, ready from the beginning."""
    prometheus = Prometheus(tool, config, data, *flags)
    try:
        prometheus.wait_until_ready()
        yield prometheus
    finally:
        prometheus.stop()
