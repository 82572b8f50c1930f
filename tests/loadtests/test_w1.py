"""The parts of the W1 bench that decide what its figures mean."""

import contextlib
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadtests import tiny_mlp, w1_report
from loadtests.bench_w1 import Contender, check_answer, request_body, turned
from loadtests.raw_runtime import RawRuntime
from service.repository.scan import scan


def row(server: str, cpu: float, alone: float = 0.3) -> dict[str, float | str]:
    load = {"throughput": 1000.0, "p50_ms": 1.0, "p99_ms": 2.0}
    return {"server": server, "cpu_micros": cpu, "alone_p50_ms": alone, "raw_p50_ms": 0.02, **load}


def test_order_is_abba() -> None:
    """Every other pair is turned round, so that neither server always runs first."""
    a, b = (Contender(name=name, start=contextlib.nullcontext, path="/") for name in "ab")  # type: ignore[arg-type]

    assert "abbaab" == "".join(one.name for turn in range(3) for one in turned([a, b], turn))


def test_summary_takes_the_median_of_pairs() -> None:
    """The ratio is taken within each pair before the median is, so a slow minute hits both sides."""
    runs = [row("hone", 40), row("mosec", 50), row("mosec", 100), row("hone", 70), row("hone", 90), row("mosec", 90)]
    total = w1_report.summary(runs)

    assert 0.8 == total["cpu_ratio"]
    assert [0.7, 1.0] == total["cpu_ratio_range"]
    assert total["goal_met"]
    assert not w1_report.summary([row("hone", 40, alone=0.5), row("mosec", 50)])["goal_met"]
    assert not w1_report.summary([row("hone", 48), row("mosec", 50)])["goal_met"]


def test_network_is_the_declared_one(tmp_path: Path) -> None:
    """The network's file is the same for a seed, fits its config, and maps [N, 64] to [N, 10]."""
    path = tiny_mlp.write_repository(tmp_path)
    (model,) = scan(tmp_path)

    assert path.read_bytes() == tiny_mlp.build()
    assert model.problem is None
    assert (3, 10) == RawRuntime(path).answer(np.zeros((3, 64), np.float32)).shape


def test_answers_are_checked(tmp_path: Path) -> None:
    """An answer passes only with the echoed id, the named output and the right numbers."""
    expected = RawRuntime(tiny_mlp.write_repository(tmp_path)).answer(tiny_mlp.sample())
    output = {"name": "y", "datatype": "FP32", "shape": [1, 10], "data": expected[0].tolist()}
    good = {"model_name": "mlp", "id": "w1", "outputs": [output]}
    check_answer(orjson.dumps(good), expected)

    for bad in ({**good, "id": "x"}, {**good, "outputs": [{**output, "data": [0.0] * 10}]}):
        with pytest.raises(ValueError, match="the server"):
            check_answer(orjson.dumps(bad), expected)


def test_body_is_one_request() -> None:
    """The body holds one row of 64 numbers with at most six decimals."""
    (tensor,) = orjson.loads(request_body())["inputs"]

    assert ([1, 64], 64) == (tensor["shape"], len(tensor["data"]))
    assert all(len(str(abs(value)).partition(".")[2]) <= 6 for value in tensor["data"])
