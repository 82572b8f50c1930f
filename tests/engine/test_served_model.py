"""One generation of a model, with real workers: inputs that end them are known when they come again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from service.artifact.config import parse_config
from service.engine.device import Devices
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.engine.trials.findings import Findings, FindingsCache
from service.errors import Infeasible, PoisonRequest
from service.messages import InferRequest, Tensor
from service.metrics import ModelMetrics
from service.workers.patience import Patience
from tests.engine.doubles import Recorder
from tests.integration import models

CONFIG = """
max_batch_size: 2
dynamic_batching { }
parameters { key: "hone.length.ids" value { string_value: "axis=1 buckets=4,8" } }
parameters { key: "hone.unpad.states" value { string_value: "axis=1 like=ids" } }
"""
ENDLESS = 2**62


@pytest.fixture
async def model(tmp_path: Path) -> AsyncIterator[ServedModel]:
    """A model that computes for as long as its input says, and workers that are given half a second."""
    path = tmp_path / "model.onnx"
    path.write_bytes(models.looping())
    source = ModelSource(
        name="m",
        version="1",
        path=str(path),
        size_bytes=path.stat().st_size,
        sha256="",
        config=parse_config(CONFIG, name="m"),
        card=None,
    )
    cache = FindingsCache(tmp_path / "cache")
    limits = EngineLimits(findings=cache, patience=Patience(load=30.0, batch=0.5, beat=0.05))
    served = ServedModel(source, Devices(cores=1, gpus=0), ModelMetrics(), limits)
    await served.load()
    yield served
    await served.stop()


def ids(*rows: list[int]) -> InferRequest:
    array: NDArray[np.int64] = np.array(rows, np.int64)
    return InferRequest(model="m", version=None, inputs=(Tensor(name="ids", datatype="INT64", array=array),))


async def ended(receiver: Recorder) -> None:
    async with asyncio.timeout(20):
        while not receiver.endings:
            await asyncio.sleep(0.02)


async def test_models_with_declared_lengths_have_a_profile(model: ServedModel, tmp_path: Path) -> None:
    """Measured when they are loaded, with a share for each bucket, and used to refuse what can't be finished."""
    (file,) = (tmp_path / "cache").iterdir()
    findings = msgspec.json.decode(file.read_bytes(), type=Findings)

    assert [1, 2] == [bucket.rows for bucket in findings.buckets]
    assert 2 == len(findings.shares)
    assert 1.0 == findings.shares[-1]
    for length in (3, 8):
        with pytest.raises(Infeasible):
            model.submit(msgspec.structs.replace(ids([1] * length), timeout=1e-6), Recorder())
        answer = Recorder()
        model.submit(ids([1] * length), answer)
        await ended(answer)
        assert [None] == answer.endings


@pytest.mark.parametrize("rows", [([1, ENDLESS, 1],), ([1, 1, 1], [2, 2, 2], [3, 3, ENDLESS])])
async def test_inputs_that_ended_two_workers_are_known_again(model: ServedModel, rows: tuple[list[int], ...]) -> None:
    """Also where they are padded, or where only a part of the request did it; others are answered as before."""
    receiver = Recorder()
    model.submit(ids(*rows), receiver)
    await ended(receiver)
    assert isinstance(receiver.endings[0], PoisonRequest)

    with pytest.raises(PoisonRequest, match="try others"):
        model.submit(ids(*rows), Recorder())
    sound = Recorder()
    model.submit(ids([1, 2, 3]), sound)
    await ended(sound)
    assert [None] == sound.endings
    assert [[1, 2, 3]] == sound.answers[0].tolist()
