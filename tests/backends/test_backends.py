"""Every runtime keeps the same contract: signature, answers, and errors in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from service.artifact.golden import GOLDEN_NAME, read_golden
from service.artifact.signature import TensorSpec
from service.backends.backend import Backend, LoadError, RunError, open_backend
from service.backends.plan import Plan
from tests.integration.served import mlp, reference

MODELS = Path(__file__).resolve().parents[2] / "models"
RUNTIMES = ("onnxruntime", "openvino")


def opened(runtime: str, model: bytes, precision: str = "f32", device: str = "cpu") -> Backend:
    return open_backend(Plan(backend=runtime, path="", precision=precision, device=device), model)


def single(operator: str, kind: int, *shape: int | str) -> bytes:
    """A model of one operator from x to y."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"])],
        "single",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_answers_what_the_network_computes(runtime: str) -> None:
    """For several batch sizes, by name, in the order asked for."""
    backend = opened(runtime, mlp())
    for rows in (1, 3, 17, 1):
        x = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)

        (y,) = backend.run(["x"], [x], ["y"])

        np.testing.assert_allclose(reference(x), y, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_it_tells_its_signature(runtime: str) -> None:
    """Names, protocol datatypes and shapes, the batch axis as something that varies."""
    signature = opened(runtime, mlp()).signature

    assert [("x", "FP32", (-1, 64))] == [(spec.name, spec.datatype, spec.shape) for spec in signature.inputs]
    assert [("y", "FP32", (-1, 10))] == [(spec.name, spec.datatype, spec.shape) for spec in signature.outputs]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_quantized_model_keeps_its_names_and_answers(runtime: str) -> None:
    """Runtimes fold operators into a quantized input or output; it is called what the file calls it all the same."""
    (file,) = MODELS.glob("digits-int8/*/model.onnx")
    golden = read_golden(file.with_name(GOLDEN_NAME))
    assert golden
    backend = opened(runtime, file.read_bytes())

    (answer,) = backend.run(["image"], [golden.inputs["image"]], ["probabilities"])
    assert ["image"] == [spec.name for spec in backend.signature.inputs]
    np.testing.assert_allclose(golden.outputs["probabilities"], answer, atol=0.05)


def test_onnx_runtime_keeps_the_names_of_dimensions() -> None:
    """They tell whether all tensors share one batch axis."""
    signature = opened("onnxruntime", mlp()).signature

    assert TensorSpec(name="x", datatype="FP32", dims=("batch", 64)) == signature.inputs[0]
    assert "batch" == signature.batch_dim


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("spoil", [lambda _: b"", lambda model: model[:100], lambda _: b"not a model" * 9])
def test_what_is_not_a_model_does_not_load(runtime: str, spoil: Callable[[bytes], bytes]) -> None:
    """LoadError in one line, without a path."""
    with pytest.raises(LoadError) as caught:
        opened(runtime, spoil(mlp()))

    text = str(caught.value)
    assert text
    assert "\n" not in text
    assert "/" not in text.replace("and/or", "")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_batch_that_does_not_fit_is_refused_and_the_next_one_computed(runtime: str) -> None:
    """RunError names no path, and the backend goes on."""
    backend = opened(runtime, mlp())
    with pytest.raises(RunError):
        backend.run(["x"], [np.zeros((1, 63), np.float32)], ["y"])

    (y,) = backend.run(["x"], [np.zeros((2, 64), np.float32)], ["y"])
    assert (2, 10) == y.shape


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    "kind, dtype",
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.DOUBLE, np.float64),
        (TensorProto.INT64, np.int64),
        (TensorProto.INT32, np.int32),
        (TensorProto.UINT8, np.uint8),
        (TensorProto.BOOL, np.bool_),
    ],
)
def test_types_go_through_unchanged(runtime: str, kind: int, dtype: type) -> None:
    """What goes into an identity comes out of it, bit for bit."""
    backend = opened(runtime, single("Identity", kind, "n", 3))
    x: NDArray[Any] = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)

    (y,) = backend.run(["x"], [x], ["y"])

    assert x.dtype == y.dtype
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_onnx_runtime_takes_and_gives_the_bits_of_bf16(rows: int) -> None:
    """NaN with whatever it carries, minus zero and subnormals as they are; also where there is nothing."""
    backend = opened("onnxruntime", single("Identity", TensorProto.BFLOAT16, "n", 3))
    x = np.array([[0x7FC1, 0x8000, 0x0001]] * rows, np.uint16).reshape(rows, 3)

    (y,) = backend.run(["x"], [x], ["y"])

    assert ["BF16", "BF16"] == [spec.datatype for spec in (*backend.signature.inputs, *backend.signature.outputs)]
    assert (x.shape, x.tolist()) == (y.shape, y.tolist())
    assert backend.bind(["x"], [x], ["y"], [y]) is None


def test_onnx_runtime_takes_and_gives_bytes() -> None:
    """Strings are bytes on our side and text on the runtime's."""
    backend = opened("onnxruntime", single("Identity", TensorProto.STRING, "n"))

    (y,) = backend.run(["x"], [np.array([b"a", "ü".encode(), b""], dtype=object)], ["y"])

    assert [b"a", "ü".encode(), b""] == y.tolist()
    with pytest.raises(RunError, match="UTF-8"):
        backend.run(["x"], [np.array([b"\xff"], dtype=object)], ["y"])


def test_numerics_change_only_when_asked_for() -> None:
    """OpenVINO computes in f32 unless bf16 is asked for, and ONNX Runtime never changes what a model says."""
    x = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    (exact,) = opened("openvino", mlp()).run(["x"], [x], ["y"])
    np.testing.assert_allclose(reference(x), exact, rtol=1e-4, atol=1e-4)

    with pytest.raises(LoadError, match="bf16"):
        opened("onnxruntime", mlp(), precision="bf16")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_gpu_that_is_not_there_is_an_error(runtime: str) -> None:
    """An instance that was asked to run on a GPU never runs on the CPU instead."""
    with pytest.raises(LoadError, match=r"KIND_GPU|KIND_CPU"):
        opened(runtime, mlp(), device="cuda:0")
