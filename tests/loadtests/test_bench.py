"""What the bench makes of its rounds, and what it reads from the service."""

import math
from dataclasses import replace

import numpy as np
import pytest

from loadtests import bench_report
from loadtests.bench_report import Round
from loadtests.instruments import Batches, read_batches
from loadtests.lone import check_answer
from loadtests.target import Target, told
from loadtests.turns import turned
from loadtests.workloads.catalogue import W1, W3

ROUND = Round(
    throughput=90.0,
    p50_ms=10.0,
    p99_ms=20.0,
    cpu_micros=100.0,
    mean_batch=8.0,
    alone_p50_ms=1.2,
    alone_p99_ms=2.0,
    run_p50_ms=1.0,
    raw_rates={16: 100.0},
)


def test_order_is_abba() -> None:
    """Every other turn is turned round, so that neither always runs first."""
    assert "abbaab" == "".join(one for turn in range(3) for one in turned("ab", turn))


def test_share_is_the_median_of_rounds() -> None:
    """The share of the runtime is taken within each round, so a slow minute hits both sides."""
    rounds = [replace(ROUND, throughput=rate, raw_rates={16: raw}) for rate, raw in ((98, 100), (490, 500), (10, 100))]
    found = bench_report.entry(W3, rounds)

    assert 0.98 == found["share"]
    assert [0.1, 0.98] == found["share_range"]
    assert found["met"]
    assert not bench_report.entry(W3, [ROUND])["met"]


def test_the_ceiling_is_one_batch_size_in_all_rounds() -> None:
    """The one that is best by its median: what was best in a single round was lucky there."""
    rates = [{8: 100.0, 16: 90.0}, {8: 104.0, 16: 150.0}, {8: 102.0, 16: 91.0}]
    found = bench_report.entry(W3, [replace(ROUND, throughput=102.0, raw_rates=each) for each in rates])

    assert [(8, 100.0), (8, 104.0), (8, 102.0)] == [(one["raw_batch"], one["raw_rate"]) for one in found["rounds"]]
    assert 1.0 == found["share"]


def test_a_lone_request_is_held_against_the_runtime() -> None:
    """What decides for W1 is the time over `session.run`, not the time itself."""
    assert bench_report.entry(W1, [ROUND])["met"]
    assert not bench_report.entry(W1, [replace(ROUND, alone_p50_ms=1.5)])["met"]


def test_section_has_a_row_a_workload() -> None:
    """The section names circumstances, each workload's row, and what was missed."""
    text = bench_report.section({"W1": bench_report.entry(W1, [ROUND]), "W3": bench_report.entry(W3, [ROUND])})

    assert "| W3 | 90 | 10.00 / 20.00 | 1.20 / 2.00 | 1.000 | 100.0 | 8.0 | 100 @16 | 0.900 [0.90-0.90] |" in text
    assert "* W1: a lone request over `session.run`, ms: 0.2, at most 0.3: met." in text
    assert "* W3: share of ONNX Runtime's rows per second: 0.9, at least 0.97: **missed**." in text


def test_what_wasnt_measured_isnt_met() -> None:
    """A target without a figure is missed, in either direction."""
    for at_least in (False, True):
        target = Target(what="x", value=math.nan, limit=1.0, at_least=at_least)
        assert not target.met
        assert "**missed**" in told([target.figures()])


def test_batches_are_read_from_the_metrics() -> None:
    """Rows and batches of all versions of a model count, those of others don't; rows a batch are since a reading."""
    text = (
        "# TYPE hone_inference_total counter\n"
        'hone_inference_total{model="w1",version="1"} 30.0\n'
        'hone_inference_total{model="w1",version="2"} 34.0\n'
        'hone_inference_total{model="w10",version="1"} 1e6\n'
        'hone_execution_total{model="w1",version="1"} 4.0\n'
    )
    found = read_batches(text, "w1")

    assert Batches(rows=64.0, batches=4.0) == found
    assert 18.0 == found.mean_since(Batches(rows=28.0, batches=2.0))
    assert math.isnan(found.mean_since(found))


def test_answers_are_checked() -> None:
    """An answer passes with the runtime's shape and numbers, within a share of the largest."""
    expected = np.array([[1.0, -2.0]], np.float32)
    check_answer(np.array([[1.001, -2.0]]), expected)

    for wrong in ([[1.01, -2.0]], [1.0, -2.0], [[float("nan"), -2.0]]):
        with pytest.raises(ValueError, match="the server"):
            check_answer(np.array(wrong), expected)
