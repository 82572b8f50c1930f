"""How a Locust run ends, and what is known of its response times."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from loadtests.gates import Gates, count, milliseconds, pace, ratio
from loadtests.response_times import ResponseTimes, four_digits


class Hook:
    """An event of Locust's, which can't be imported here: it would change the whole process."""

    def __init__(self) -> None:
        self._listeners: list[Callable[..., None]] = []

    def add_listener(self, listener: Callable[..., None]) -> None:
        self._listeners.append(listener)

    def fire(self, **values: Any) -> None:
        for listener in self._listeners:
            listener(**values)


class Events:
    """Those that are listened to."""

    def __init__(self) -> None:
        self.test_start, self.request, self.report_to_master, self.worker_report = (Hook() for _ in range(4))


def listening(events: Events) -> ResponseTimes:
    times = ResponseTimes(setup="metadata")
    times.listen(cast("Any", events))
    return times


@pytest.mark.parametrize(
    "gates, requests, failures, code, words",
    [
        (Gates(), 100, 0, 0, None),
        (Gates(), 100, 1, 1, "1 of 100 requests failed"),
        (Gates(), 0, 0, 1, "no request was sent"),
        (Gates(max_p95_ms=50), 0, 0, 1, "no request was sent"),
        (Gates(max_p95_ms=50), 100, 0, 0, None),
        (Gates(max_p95_ms=49.9), 100, 0, 4, "--max-p95-ms: the 95th percentile is 50.0 ms, above 49.9"),
        (Gates(max_p95_ms=50), 100, 1, 1, "1 of 100 requests failed"),
        (Gates(max_error_ratio=0.01), 100, 1, 0, None),
        (Gates(max_error_ratio=0.01), 100, 2, 4, "--max-error-ratio: 2 of 100 requests failed (2.00%), more than 0.01"),
        (Gates(max_error_ratio=0), 100, 1, 4, "--max-error-ratio: 1 of 100"),
        (Gates(max_p95_ms=1, max_error_ratio=0), 100, 1, 4, "--max-error-ratio"),
    ],
)
def test_gates(gates: Gates, requests: int, failures: int, code: int, words: str | None) -> None:
    """4 for a broken gate, 1 for failures without one or for nothing at all; the line names the gate."""
    found, lines = gates.verdict(requests=requests, failures=failures, p95_ms=50.0)

    assert code == found
    assert (words is None) == (not lines)
    assert words is None or words in " ".join(lines)


@pytest.mark.parametrize(
    "parse, text",
    [
        (milliseconds, "0"),
        (milliseconds, "inf"),
        (ratio, "5"),
        (ratio, "-1"),
        (ratio, "x"),
        (count, "0"),
        (count, "-3"),
        (count, "1.5"),
        (pace, "-1"),
        (pace, "nan"),
    ],
)
def test_bounds_that_cannot_be_are_refused(parse: Callable[[str], float], text: str) -> None:
    """With what was given and what was expected; a share isn't a percentage."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"{text}: expected "):
        parse(text)
    assert (0.5, 0.5, 1, 0) == (milliseconds("0.5"), ratio("0.5"), count("1"), pace("0"))


def test_a_percentile_that_is_unknown_breaks_its_gate() -> None:
    """What couldn't be measured isn't kept."""
    assert 4 == Gates(max_p95_ms=50).verdict(requests=1, failures=0, p95_ms=math.nan)[0]


def test_times_are_kept_in_full(tmp_path: Path) -> None:
    """Not in Locust's two digits, of all requests and by name, and in a file."""
    events = Events()
    times = listening(events)
    for name, value in (("a", 123.456), ("a", 0.789), ("b", 5000.125), ("metadata", 9e9)):
        events.request.fire(name=name, response_time=value, request_type="GET", exception=None)
    times.write(tmp_path / "times.csv")

    assert ["a", "b"] == times.names
    assert [0.789, 123.456] == pytest.approx(times.percentiles((0, 100), "a"))
    assert 5000.125 == times.percentiles((100,))[0]
    assert ["name,milliseconds", "a,123.456", "a,0.789", "b,5000.125"] == (tmp_path / "times.csv").read_text().split()
    events.test_start.fire(environment=None)
    assert math.isnan(times.percentiles((95,))[0])


def test_a_master_has_its_workers_times() -> None:
    """Each report brings those since the last one."""
    channels, heard = [Events(), Events()], Events()
    workers, master = [listening(events) for events in channels], listening(heard)
    for turn in range(2):
        for number, events in enumerate(channels):
            events.request.fire(name="a", response_time=10.0 * turn + number)
            data: dict[str, Any] = {}
            events.report_to_master.fire(client_id=str(number), data=data)
            heard.worker_report.fire(client_id=str(number), data=data)

    assert [0, 1, 10, 11] == sorted(master.of("a").tolist())
    assert [[], []] == [worker.of().tolist() for worker in workers]


def test_four_digits() -> None:
    """Of long times as of short ones."""
    assert [0.1235, 12.35, 123.5, 1235.0, 12350.0] == [four_digits(12346.0 * 10**-power) for power in (5, 3, 2, 1, 0)]
