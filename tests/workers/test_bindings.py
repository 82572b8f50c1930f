"""Batches of a kind that was seen before: computed without copies, and with the very same answers."""

import asyncio
import dataclasses
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from service.artifact.signature import Signature
from service.backends.backend import RunError, open_backend
from service.backends.plan import Plan
from service.workers.instance import Instance
from tests.integration.served import mlp, reference
from tests.workers.test_instance import QUICK, Recorder

ROWS = (1, 5, 1, 5, 5, 1, 8, 5)


def lookup() -> bytes:
    """y = table[x]: fails at run time for an index beyond the table."""
    table = numpy_helper.from_array(np.arange(20, dtype=np.float32).reshape(10, 2), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "x"], ["y"])],
        "lookup",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [table],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


@asynccontextmanager
async def instance(path: Path, backend: str = "onnxruntime") -> AsyncIterator[tuple[Instance[str], Recorder]]:
    """A worker on the model file at `path`, at most 8 rows."""
    recorder = Recorder()
    plan = Plan(backend=backend, path=str(path))

    def resolve(signature: Signature) -> tuple[Plan, Recorder]:
        inputs, outputs = (
            tuple(dataclasses.replace(spec, dims=spec.shape[1:]) for spec in specs)
            for specs in (signature.inputs, signature.outputs)
        )
        return msgspec.structs.replace(plan, max_batch_size=8, inputs=inputs, outputs=outputs, slots=1), recorder

    worker: Instance[str] = Instance(plan, resolve, QUICK)
    await worker.start()
    await recorder.next("ready")
    try:
        yield worker, recorder
    finally:
        await worker.stop()


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
async def test_repeated_batches_answer_for_their_own_rows(tmp_path: Path, backend: str) -> None:
    """However often a number of rows comes again, each batch gets what the network computes for it."""
    path = tmp_path / "model.onnx"
    await asyncio.to_thread(path.write_bytes, mlp())
    async with instance(path, backend) as (worker, recorder):
        for seed, rows in enumerate(ROWS):
            x = np.random.default_rng(seed).normal(size=(rows, 64)).astype(np.float32)
            worker.run(str(seed), [[x]])
            job, (y,), _ = await recorder.next("done")

            assert str(seed) == job
            np.testing.assert_allclose(reference(x), y, rtol=1e-4, atol=1e-4)


async def test_a_repeated_batch_that_fails_says_so_and_the_next_is_computed(tmp_path: Path) -> None:
    """The runtime's refusal is as good on the short way as on the long one."""
    path = tmp_path / "model.onnx"
    await asyncio.to_thread(path.write_bytes, lookup())
    async with instance(path) as (worker, recorder):
        for index in (3, 4, 99, 5, 99, 6):
            worker.run("job", [[np.array([index, 1])]])
            if index == 99:
                _, text = await recorder.next("failed")
                assert "idx=99" in text or "out of" in text
            else:
                _, (y,), _ = await recorder.next("done")
                np.testing.assert_array_equal([[index * 2, index * 2 + 1], [2, 3]], y)


def test_bound_arrays_are_read_and_written_in_place() -> None:
    """A bound function sees what its inputs hold when it is called, and fills its outputs."""
    backend = open_backend(Plan(backend="onnxruntime", path=""), mlp())
    x, y = np.zeros((2, 64), np.float32), np.zeros((2, 10), np.float32)
    compute = backend.bind(["x"], [x], ["y"], [y])
    assert compute

    for seed in range(3):
        x[:] = np.random.default_rng(seed).normal(size=x.shape)
        compute()
        np.testing.assert_allclose(reference(x), y, rtol=1e-4, atol=1e-4)


def test_a_bound_function_raises_as_run_does() -> None:
    """RunError in one line."""
    backend = open_backend(Plan(backend="onnxruntime", path=""), lookup())
    x, y = np.array([99]), np.zeros((1, 2), np.float32)
    compute: Callable[[], None] | None = backend.bind(["x"], [x], ["y"], [y])
    assert compute

    with pytest.raises(RunError):
        compute()


async def test_a_model_file_that_changes_under_a_version_is_not_loaded(tmp_path: Path) -> None:
    """What is loaded again after a worker's end is what was loaded at first, or it isn't served."""
    path = tmp_path / "model.onnx"
    await asyncio.to_thread(path.write_bytes, mlp())
    async with instance(path) as (worker, recorder):
        await asyncio.to_thread(path.write_bytes, mlp(seed=2))
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
        await recorder.next("lost")
        while not worker.problem:
            await asyncio.sleep(0.02)

        assert "SHA-256" in worker.problem
        assert not worker.ready
