"""The bench for GPUs, as far as a machine without one can tell."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from loadtests import gpu
from loadtests.gpu_report import Round, Setup, entry, section
from loadtests.request import JSON_LENGTH
from loadtests.workloads.workload import Workload
from service.artifact.config import parse_config
from service.artifact.instance_group import InstanceGroup

ON_GPU = Setup(device="cuda", number=1, instances=2, graphs=True)
ROUND = Round(throughput=95.0, p50_ms=1.0, p99_ms=2.0, cpu_micros=50.0, mean_batch=30.0, raw_rates={32: 100.0})


def test_it_runs_on_the_processor(
    tmp_path: Path, require_tool: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Service and runtime are measured in turns; table and twin are written, and nothing is demanded of a processor."""
    require_tool("wrk")
    arguments = ["--device", "cpu", "--rounds", "1", "--seconds", "1", "--instances", "1", "--out", str(tmp_path)]

    assert 0 == gpu.main(arguments)
    twin = orjson.loads((tmp_path / "results" / "gpu.json").read_bytes())["workloads"]["W1"]
    assert 0 < twin["rounds"][0]["raw_rate"]
    assert 1 < twin["rounds"][0]["mean_batch"] <= 32
    assert {"machine", "versions", "commit", "share", "device"} <= twin.keys()
    assert "| W1 |" in (tmp_path / "RESULTS.md").read_text()
    assert "| W1 |" in capsys.readouterr().out


def test_without_the_device_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine without a CUDA provider is told what to install, before any network is made."""
    assert 2 == gpu.main(["--out", str(tmp_path)])
    assert "no CUDA provider" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("workload", [gpu.RESNET, gpu.BERT])
def test_the_networks_are_served_on_the_gpu_that_was_named(workload: Workload) -> None:
    """By a config that the service reads: several workers on one GPU, buckets, and graphs where asked for."""
    config = parse_config(gpu.config(workload, ON_GPU), name=workload.model)

    assert (InstanceGroup(kind="gpu", count=2, gpus=(1,)),) == config.instance_groups
    assert (True, (1, 2, 4, 8, 16, 32)) == (config.hone.cuda_graphs, config.hone.batch_buckets)
    assert not parse_config(gpu.config(workload, replace(ON_GPU, graphs=False)), name=workload.model).hone.cuda_graphs


def test_answers_are_asked_for_in_binary() -> None:
    """So that the service doesn't write numbers as text while a GPU waits; the tensor is the same."""
    request, plain = gpu.lean(gpu.BERT), gpu.BERT.request()
    length, before = int(request.headers[JSON_LENGTH]), int(plain.headers[JSON_LENGTH])

    assert {"binary_data_output": True} == orjson.loads(request.body[:length])["parameters"]
    assert plain.body[before:] == request.body[length:]
    assert gpu.TOKENS == np.frombuffer(request.body[length:], np.int64).size


def test_the_share_of_the_runtime_decides() -> None:
    """Nine tenths of the runtime's rows are demanded of a GPU, by the median of the rounds."""
    met = entry(gpu.BERT, [ROUND, replace(ROUND, throughput=10.0), ROUND], ON_GPU)
    missed = entry(gpu.BERT, [replace(ROUND, throughput=80.0)], ON_GPU)

    assert (0.95, True, False) == (met["share"], met["met"], missed["met"])
    assert "rows per second: 0.8, at least 0.9: **missed**" in section({"G2": missed})
    assert entry(gpu.SMALL, [replace(ROUND, throughput=1.0)], replace(ON_GPU, device="cpu"))["met"]
