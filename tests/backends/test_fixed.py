"""The ways by which batches reach a GPU, on memory of the CPU: the same code, apart from where the memory lies."""

from functools import partial
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from service.backends.backend import RunError, open_backend
from service.backends.onnxruntime import Fixed, OnnxRuntime, _copy_and_run
from service.backends.plan import Plan
from tests.backends.test_backends import single
from tests.integration.served import mlp, reference
from tests.workers.test_bindings import lookup

BUCKETS = (1, 4)


def rows(count: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 64)).astype(np.float32)


def test_a_kind_of_batch_keeps_its_addresses() -> None:
    """Batches of a bucket are computed at one place, whichever slot they lie in; others as always. All are right."""
    backend = open_backend(Plan(backend="onnxruntime", path="", batch_buckets=BUCKETS, cuda_graphs=True), mlp())
    assert isinstance(backend, OnnxRuntime)
    for count in (4, 1, 3):
        (y,) = backend.run(["x"], [rows(count, 0)], ["y"])
        np.testing.assert_allclose(reference(rows(count, 0)), y, rtol=1e-4, atol=1e-4)
    assert {((4, 64),), ((1, 64),)} == backend._fixed.keys()

    slots = [(np.zeros((count, 64), np.float32), np.zeros((count, 10), np.float32)) for count in (4, 4, 1, 3)]
    bound = [backend.bind(["x"], [x], ["y"], [y]) for x, y in slots]
    for seed in range(1, 4):
        for number, (x, _) in enumerate(slots):
            x[:] = rows(len(x), seed * 10 + number)
        for compute in bound:
            assert compute
            compute()
        for x, y in slots:
            np.testing.assert_allclose(reference(x), y, rtol=1e-4, atol=1e-4)
    assert len(BUCKETS) == len(backend._fixed)


@pytest.mark.parametrize(
    "kind, dtype",
    [(TensorProto.FLOAT16, np.float16), (TensorProto.UINT8, np.uint8), (TensorProto.INT64, np.int64)],
)
def test_what_networks_for_gpus_take_goes_through_unchanged(kind: int, dtype: type) -> None:
    """float16, pixels and tokens are neither rounded nor mixed up on the way there and back."""
    session = onnxruntime.InferenceSession(single("Identity", kind, "n", 3), providers=["CPUExecutionProvider"])
    x: NDArray[Any] = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    y = np.zeros_like(x)
    fixed = Fixed(session, ("cpu", 0), [("x", x)], [("y", y)], graph=1)

    for factor in (1, 2):
        fixed.compute([(x * factor).astype(dtype)], [y])
        np.testing.assert_array_equal(x * factor, y)


def test_without_graphs_inputs_are_copied_anew_for_each_batch() -> None:
    """What the slot holds when a batch is computed counts, and its outputs lie in the slot."""
    session = onnxruntime.InferenceSession(mlp(), providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    x, y = np.zeros((2, 64), np.float32), np.zeros((2, 10), np.float32)
    binding.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    compute = partial(_copy_and_run, session.run_with_iobinding, binding, [("x", x)], None)

    for seed in range(3):
        x[:] = rows(2, seed)
        compute()
        np.testing.assert_allclose(reference(x), y, rtol=1e-4, atol=1e-4)


def test_a_fixed_kind_refuses_as_others_do() -> None:
    """RunError for what the runtime refuses; the next batch is computed."""
    backend = open_backend(Plan(backend="onnxruntime", path="", batch_buckets=(1,), cuda_graphs=True), lookup())
    backend.run(["x"], [np.array([1])], ["y"])
    x, y = np.array([99]), np.zeros((1, 2), np.float32)
    compute = backend.bind(["x"], [x], ["y"], [y])
    assert compute

    with pytest.raises(RunError):
        compute()
    x[:] = 3
    compute()
    np.testing.assert_array_equal([[6, 7]], y)
