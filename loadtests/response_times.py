"""How long every request of a Locust run took, in full: Locust keeps two digits of what is above 100 ms."""

import csv
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # importing Locust changes the whole process
    from locust.event import Events

_KEY = "hone_response_times"


class ResponseTimes:
    """Owns the times of this process and, at a master, of its workers, by request name: milliseconds, 4 bytes each.

    Requests named `setup`, by which users find out what to ask, aren't kept.
    """

    def __init__(self, *, setup: str = "") -> None:
        self._setup = setup
        self._times: defaultdict[str, array[float]] = defaultdict(lambda: array("f"))

    def listen(self, events: "Events") -> None:
        """Hear of every request, and, at a master, of those that workers report."""
        events.test_start.add_listener(self._begin)
        events.request.add_listener(self._hear)
        events.report_to_master.add_listener(self._report)
        events.worker_report.add_listener(self._take)

    @property
    def names(self) -> list[str]:
        """Of the requests that there were."""
        return sorted(self._times)

    def of(self, name: str = "") -> NDArray[np.float32]:
        """Times of the requests of this name, or of all."""
        arrays = [self._times[name]] if name else list(self._times.values())
        found: NDArray[np.float32] = np.concatenate([np.zeros(0, np.float32), *map(np.array, arrays)]).astype(
            np.float32
        )
        return found

    def percentiles(self, points: Sequence[float], name: str = "") -> list[float]:
        """Of those times; nan when there were no requests."""
        times = self.of(name)
        return [float(one) for one in np.percentile(times, points)] if len(times) else [float("nan")] * len(points)

    def write(self, path: Path) -> None:
        """All of them as CSV: name, milliseconds."""
        with path.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(("name", "milliseconds"))
            for name in self.names:
                lines.writerows((name, f"{one:.3f}") for one in self._times[name])

    def _begin(self, **_: Any) -> None:
        self._times.clear()

    def _hear(self, name: str, response_time: float, **_: Any) -> None:
        if name != self._setup:
            self._times[name].append(response_time)

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[_KEY] = {name: times.tobytes() for name, times in self._times.items()}
        self._times.clear()

    def _take(self, data: dict[str, Any], **_: Any) -> None:
        for name, times in data.get(_KEY, {}).items():
            self._times[name].frombytes(times)


def four_digits(milliseconds: float) -> float:
    """In place of Locust's own rounding, so that its tables and charts tell of what is seen here."""
    return float(f"{milliseconds:.4g}")
