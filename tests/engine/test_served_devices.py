"""A generation on several devices, from its file to its answers."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from service.artifact.config import ModelConfig, parse_config
from service.engine.device import Devices, Placement
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.errors import ArtifactError
from service.messages import InferRequest, Tensor
from service.metrics import ModelMetrics
from tests.engine.doubles import Recorder
from tests.integration.served import CONFIG, mlp, reference


class TwoDevices(Devices):
    """Two places on the processor, that stand for two devices."""

    def place(self, config: ModelConfig | None) -> list[list[Placement]]:
        del config
        return [[Placement(device="cpu", threads=1)], [Placement(device="cpu", threads=2)]]


def served(tmp_path: Path, devices: Devices, config: str = CONFIG) -> ServedModel:
    path = tmp_path / "model.onnx"
    path.write_bytes(mlp())
    source = ModelSource(
        name="m",
        version="1",
        path=str(path),
        size_bytes=1,
        sha256="",
        config=parse_config(config, name="m"),
        card=None,
    )
    return ServedModel(source, devices, ModelMetrics(), EngineLimits())


async def test_each_device_is_tried_and_has_a_profile_of_its_own(tmp_path: Path) -> None:
    """One queue, one scheduler, and a station for each device with what was measured there."""
    model = served(tmp_path, TwoDevices(cores=2, gpus=0))
    await model.load()
    try:
        stations = model._scheduler.crew.stations if model._scheduler else ()
        assert [1, 2] == [station.cost for station in stations]
        assert stations[0].profile is not stations[1].profile
        assert all(station.profile for station in stations)
        assert 1 == round(sum(station.share for station in stations), 6)

        inputs = [np.full((16, 64), value, np.float32) for value in range(20)]
        receivers = [Recorder() for _ in inputs]
        for x, receiver in zip(inputs, receivers, strict=True):
            tensor = Tensor(name="x", datatype="FP32", array=x)
            model.submit(InferRequest(model="m", version=None, inputs=(tensor,)), receiver)
        while not all(receiver.endings for receiver in receivers):
            await asyncio.sleep(0.01)
        for x, receiver in zip(inputs, receivers, strict=True):
            np.testing.assert_allclose(reference(x), receiver.answers[0], rtol=1e-4, atol=1e-4)
    finally:
        await model.stop()


async def test_batches_are_computed_in_buckets(tmp_path: Path) -> None:
    """Five rows with buckets of one, four and eight are computed as eight, and the answers are those of the five."""
    config = CONFIG.replace("max_batch_size: 16", "max_batch_size: 8")
    buckets = 'parameters { key: "hone.batch_buckets" value { string_value: "1,4,8" } }'
    model = served(tmp_path, Devices(cores=2, gpus=0), f"{config} {buckets}")
    await model.load()
    try:
        for rows, padding in ((5, 3 / 8), (8, 0.0), (1, 0.0), (3, 1 / 4)):
            x = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)
            receiver, before = Recorder(), model.metrics.padding_ratio.total
            tensor = Tensor(name="x", datatype="FP32", array=x)
            model.submit(InferRequest(model="m", version=None, inputs=(tensor,)), receiver)
            while not receiver.endings:
                await asyncio.sleep(0.01)

            np.testing.assert_allclose(reference(x), receiver.answers[0], rtol=1e-4, atol=1e-4)
            assert padding == pytest.approx(model.metrics.padding_ratio.total - before)
        (station,) = model._scheduler.crew.stations if model._scheduler else ()
        assert station.profile
        assert [1, 4, 8] == [bucket.rows for bucket in station.profile.buckets]
    finally:
        await model.stop()


async def test_a_gpu_without_a_provider_fails_the_model_and_leaves_no_worker(tmp_path: Path) -> None:
    """Also when instances on the processor stand beside it, and were started before."""
    groups = "instance_group [ { kind: KIND_CPU }, { kind: KIND_GPU gpus: [ 0 ] } ]"
    model = served(tmp_path, Devices(cores=2, gpus=0), f"{CONFIG} {groups}")

    with pytest.raises(ArtifactError, match="KIND_GPU, but this ONNX Runtime has no CUDA provider"):
        await model.load()

    children = Path("/proc/self/task").glob("*/children")
    assert [] == [child for listed in children for child in listed.read_text().split() if _is_worker(child)]


def _is_worker(pid: str) -> bool:
    try:
        return b"service.workers.main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
