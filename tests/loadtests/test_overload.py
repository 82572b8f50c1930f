"""The overload bench: the server that refuses, and what is made of points."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loadtests import overload_report, results
from loadtests.bench_overload import FACTORS, forecast
from loadtests.overload import capacity
from loadtests.overload.capacity import Capacity
from loadtests.overload_report import Point, Rounds, Settings
from loadtests.request import Request
from service.client.open_loop import offer
from service.client.outcome import Outcome

SETTINGS = Settings(slo=0.25, seconds=2, connections=16)
OUTCOME = Outcome(
    seconds=2.0,
    statuses=np.array([200] * 96 + [200, 504] + [503] * 102, np.int16),
    latencies=np.array([0.2] * 96 + [0.3, 0.24] + [0.001] * 102),
    lags=np.zeros(200),
)


def point(factor: float = 2.0, possible: float = 50.0) -> Point:
    best = Capacity(throughput=possible, p99=0.2, front_cpu=1e-4, refusal_cpu=3e-5)
    return Point.of(OUTCOME, factor=factor, possible=best, micros=40.0, slo=SETTINGS.slo, generator=0.8)


def test_refusing_server_refuses() -> None:
    """It answers every request with 503, and keeps the connection."""
    with capacity.refusing() as served:
        request = Request(path="/infer", body=b"x" * 1000)
        outcome = offer(capacity.to(served, request, [index / 1000 for index in range(100)], 0.1))

    assert {"503": 100} == outcome.counts()


def test_a_point_tells_late_from_in_time() -> None:
    """A 200 after the SLO is no goodput; expired requests count among the accepted."""
    found = point()

    assert (100.0, 48.0, 1) == (found.offered, found.goodput, found.late)
    assert 0.2 * 1e3 == pytest.approx(found.accepted_ms[0])
    assert found.accepted_ms[1] > 240
    assert [1.0, 1.0] == pytest.approx(found.rejection_ms)
    assert 0 == found.other


def test_a_rejection_costs_what_the_front_used_beyond_the_accepted() -> None:
    """The front's time less what its accepted requests take it, for each rejection."""
    assert 40 == pytest.approx(overload_report.rejection_micros(OUTCOME, 98 * 100e-6 + 102 * 40e-6, 100e-6))


def test_targets_are_held_by_the_medians() -> None:
    """Goodput is held against capacity(k), in the median over rounds; without rejections their price isn't met."""
    good = [replace(point(), accepted_ms=[200.0, 249.0, 260.0])] * 2
    bad = replace(good[0], goodput=1.0, accepted_ms=[200.0, 300.0, 300.0])

    assert met([*good, bad])
    assert not met([*good, bad, bad, bad])
    assert not met([replace(one, possible=60.0) for one in good])
    assert not met([replace(good[0], rejection_micros=float("nan"))])
    assert met([replace(bad, factor=0.5)])


def met(points: list[Point]) -> bool:
    return bool(overload_report.entry(points, SETTINGS, {})["met"])


def test_rounds_and_factors_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each round is written; other factors keep their rows, and further rounds are added only where that is asked for
    and the settings are the same.
    """
    monkeypatch.setattr(results.write, "__kwdefaults__", {"folder": tmp_path, "title": ""})
    monkeypatch.setattr(results.twin, "__kwdefaults__", {"folder": tmp_path})
    nothing_rejected = replace(point(0.5), rejection_ms=[float("nan")] * 2, rejection_micros=float("nan"))
    Rounds(SETTINGS, keep=False).write([nothing_rejected, point(2)])
    Rounds(SETTINGS, keep=True).write([nothing_rejected, point(5)])
    Rounds(replace(SETTINGS, seconds=9), keep=True).write([point(5)])

    assert {"0.5": 2, "2": 1, "5": 1} == {
        factor: len(one["points"]) for factor, one in overload_report.entries().items()
    }
    rows = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("| ")]
    assert ["| 0.5 | 2 x 2 s |", "| 2 | 1 x 2 s |", "| 5 | 1 x 9 s |"] == [
        " ".join(row.split(" ")[:6]).removesuffix(" s |") + " s |" for row in rows[2:]
    ]


def test_the_duration_is_told_beforehand() -> None:
    """About half an hour for all of it, minutes for a part."""
    assert 25 < forecast(FACTORS, 60, 3) / 60 < 35
    assert forecast((2.0,), 10, 1) < 2 * 60
