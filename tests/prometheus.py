"""A real Prometheus in a process of its own, which scrapes what the test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.daemon import Daemon


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value at a moment: labels without the name's, and the number."""

    labels: dict[str, str]
    value: float


class Prometheus:
    """Asks one that runs: what it has stored, what it scrapes, which rules it has."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self._daemon.address}"

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

    def tells(self) -> list[str]:
        """The Alertmanagers that it knows. What fires while it knows none is told them a minute later."""
        return [one["url"] for one in self._ask("alertmanagers")["activeAlertmanagers"]]

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait until the condition holds, for so long at most, or until the process has ended; whether it does."""
        return self._daemon.until(condition, seconds)

    def _ask(self, what: str, **parameters: str) -> Any:
        return self._daemon.ask(f"/api/v1/{what}", **parameters)["data"]


@contextmanager
def watching(tool: str, config: Path, data: Path, *flags: str) -> Iterator[Prometheus]:
    """A Prometheus for the time of a block, ready from the beginning.

    `tool` is what `require_tool("prometheus")` found; `config` is its prometheus.yml, what that names (rules) is
    relative to its folder; `data` is a folder that nobody else uses.
    """
    command = [tool, f"--config.file={config}", f"--storage.tsdb.path={data}", "--web.listen-address=127.0.0.1:0"]
    daemon = Daemon([*command, *flags], data)
    try:
        daemon.wait_until_ready()
        yield Prometheus(daemon)
    finally:
        daemon.stop()
