"""One generation of a model with a response cache, with real workers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from service.artifact.config import parse_config
from service.engine.classification import Classified
from service.engine.device import Devices
from service.engine.exchange import Receiver
from service.engine.response_cache import ResponseCache
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.engine.statistics import statistics_of
from service.engine.trials.findings import FindingsCache
from service.errors import Infeasible, InvalidRequest
from service.messages import InferRequest, Tensor
from service.metrics import ModelMetrics
from tests.engine.doubles import Recorder
from tests.integration import models

ENABLED = "dynamic_batching { } response_cache { enable: true } max_batch_size: 4"
LENGTHS = """
parameters { key: "hone.length.ids" value { string_value: "axis=1 buckets=4,8 mask=mask" } }
parameters { key: "hone.unpad.states" value { string_value: "axis=1 like=ids" } }
"""
Serving = Callable[..., Any]


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    """A context in which a model file is served under a config."""

    @asynccontextmanager
    async def served(model: bytes, config: str, *, most: int = 1 << 20) -> AsyncIterator[ServedModel]:
        path = tmp_path / "model.onnx"
        path.write_bytes(model)
        source = ModelSource(
            name="m",
            version="1",
            path=str(path),
            size_bytes=path.stat().st_size,
            sha256="",
            config=parse_config(config, name="m"),
            card=None,
        )
        limits = EngineLimits(response_cache=ResponseCache(most), findings=FindingsCache(tmp_path / "cache"))
        generation = ServedModel(source, Devices(cores=1, gpus=0), ModelMetrics(), limits)
        await generation.load()
        try:
            yield generation
        finally:
            await generation.stop()

    return served


def tensor(name: str, array: NDArray[Any]) -> Tensor:
    return Tensor(name=name, datatype="FP32" if array.dtype == np.float32 else "INT64", array=array)


def request(*tensors: Tensor, outputs: tuple[str, ...] = (), timeout: float | None = None) -> InferRequest:
    return InferRequest(model="m", version=None, inputs=tensors, outputs=outputs, timeout=timeout)


async def ask(model: ServedModel, asked: InferRequest, receiver: Recorder | None = None) -> NDArray[Any]:
    receiver = receiver or Recorder()
    model.submit(asked, receiver)
    assert not receiver.endings
    async with asyncio.timeout(20):
        while not receiver.endings:
            await asyncio.sleep(0.001)
    assert [None] == receiver.endings
    return receiver.answers[0]


def counts(model: ServedModel) -> tuple[int, int, int]:
    return model.metrics.cache_hits, model.metrics.cache_misses, model.metrics.inferences


async def test_what_is_asked_again_is_not_computed_again(serving: Serving) -> None:
    """The answer is the same to the bit, also of a request that has more rows than a batch; Triton's statistics say so,
    and nothing is left when the model is stopped.
    """
    async with serving(models.rows(), ENABLED) as model:
        for rows in (1, 3, 9):
            x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
            first, again = [await ask(model, request(tensor("x", x))) for _ in range(2)]
            assert first.tobytes() == again.tobytes() == (x + x).tobytes()
        assert (3, 3, 13) == counts(model)
        told = statistics_of(model)
        assert (13, 6, 3, 3) == (told.inference_count, *(told.durations[name][0] for name in _NAMES))
        assert all(told.durations[name][1] > 0 for name in _NAMES)
        assert told.durations["queue"][0] == told.durations["compute_infer"][0] + 3
        assert 6 == model.metrics.requests["http", "ok"]
        assert model.metrics.cache_bytes > 13 * 16
    assert 0 == model.metrics.cache_bytes
    assert await model.drain(1)


_NAMES = ("success", "cache_hit", "cache_miss")


async def test_a_hit_is_answered_where_others_are_refused(serving: Serving) -> None:
    """It needs no time; what it asks for is compared with the model first, and its headers alone refuse nobody."""
    async with serving(models.rows(), ENABLED) as model:
        known, other = (tensor("x", np.full((1, 4), value, np.float32)) for value in (1, 2))
        await ask(model, request(known))

        assert [[2.0] * 4] == (await ask(model, request(known, timeout=1e-6))).tolist()
        model.precheck(1e-6)
        with pytest.raises(Infeasible):
            model.submit(request(other, timeout=1e-6), Recorder())
        with pytest.raises(InvalidRequest):
            model.submit(request(msgspec.structs.replace(known, name="z"), timeout=1e-6), Recorder())
        assert (1, 1, 1) == counts(model)


async def test_padded_requests_are_known_by_their_own_length(serving: Serving) -> None:
    """Two that are padded to the same tensors differ, by the length that their answer is cut back to."""
    async with serving(models.lengths(), ENABLED + LENGTHS) as model:
        for ids in ([1, 2], [1, 2, 0]):
            whole = request(tensor("ids", np.array([ids])), tensor("mask", np.array([[1, 1, 0][: len(ids)]])))
            first, again = [await ask(model, whole) for _ in range(2)]
            assert [[2.0 * one for one in ids]] == first.tolist() == again.tolist()
        assert (2, 2, 2) == counts(model)


async def test_classes_are_made_of_kept_answers(serving: Serving) -> None:
    """What is kept is what the model computed, so that numbers and classes of it have one answer in the cache."""
    async with serving(models.rows(), ENABLED) as model:
        x = tensor("x", np.array([[1, 4, 2, 3]], np.float32))
        await ask(model, request(x))
        for most, classes in ((1, [b"8.000000:1"]), (2, [b"8.000000:1", b"6.000000:3"])):
            kept = Recorder()
            receiver: Receiver = Classified(kept, {"y": most}, model.config)
            model.submit(request(x), receiver)
            await asyncio.sleep(0.01)
            assert [classes] == kept.answers[0].tolist()
        assert (2, 1, 1) == counts(model)


async def test_a_client_that_leaves_is_no_hit(serving: Serving) -> None:
    """Between being looked up and being answered; nothing waits for it."""
    async with serving(models.rows(), ENABLED) as model:
        x = request(tensor("x", np.ones((1, 4), np.float32)))
        await ask(model, x)
        model.submit(x, Recorder()).cancel()

        assert await model.drain(1)
        assert (0, 1, 1) == counts(model)
        assert 1 == model.metrics.requests["http", "cancelled"]


@pytest.mark.parametrize(
    "model,config,most",
    [
        (models.rows(), ENABLED, 0),
        (models.rows(), "dynamic_batching { } max_batch_size: 4", 1 << 20),
        (models.centred(), ENABLED, 1 << 20),
    ],
    ids=["no room", "not enabled", "batch-mates change answers"],
)
async def test_others_compute_everything(serving: Serving, model: bytes, config: str, most: int) -> None:
    """Without room on the server, without the config's word, and where batch-mates change answers."""
    async with serving(model, config, most=most) as served:
        for _ in range(2):
            await ask(served, request(tensor("x", np.ones((1, 4), np.float32))))

        assert (0, 0, 2) == counts(served)
        with pytest.raises(Infeasible):
            served.precheck(1e-6)
