"""The overload bench: the server that refuses, and what is made of points."""

from dataclasses import replace

import numpy as np
import pytest

from loadtests import overload_report
from loadtests.overload import capacity
from loadtests.overload_report import Point, Settings
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
    return Point.of(OUTCOME, factor=factor, possible=possible, micros=40.0, slo=SETTINGS.slo)


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

    assert overload_report.figures([*good, bad], SETTINGS)["met"]
    assert not overload_report.figures([*good, bad, bad, bad], SETTINGS)["met"]
    assert not overload_report.figures([replace(one, possible=60.0) for one in good], SETTINGS)["met"]
    assert not overload_report.figures([replace(good[0], rejection_micros=float("nan"))], SETTINGS)["met"]
    assert overload_report.figures([replace(bad, factor=0.5)], SETTINGS)["met"]
