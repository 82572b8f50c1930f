"""Models behind a real server whose clients see other shapes than they have."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.integration.served import Served, serving, write_model
from tests.integration.test_check import check

TENSOR = '{{ name: "{name}" data_type: TYPE_FP32 dims: [ {dims} ] reshape {{ shape: [ {shape} ] }} }}'


def model(*, batched: bool) -> bytes:
    """`x` FP32 [N, 2, 3] and `factor` FP32 [N] to their product `y` FP32 [N, 3, 2], its last axes exchanged; without
    a batch axis N is 1. And `longer` FP32 [N, T] to `shorter` [N, 1, T], its half.
    """
    rows: str | int = "N" if batched else 1
    nodes = [
        helper.make_node("Unsqueeze", ["factor", "axes"], ["factors"]),
        helper.make_node("Mul", ["x", "factors"], ["products"]),
        helper.make_node("Transpose", ["products"], ["y"], perm=[0, 2, 1]),
        helper.make_node("Div", ["longer", "two"], ["halves"]),
        helper.make_node("Unsqueeze", ["halves", "axis"], ["shorter"]),
    ]
    inputs = [("x", [rows, 2, 3]), ("factor", [rows]), ("longer", [rows, "T"])]
    constants = {"axes": np.array([1, 2]), "axis": np.array([1]), "two": np.array(2, np.float32)}
    graph = helper.make_graph(
        nodes,
        "reshaped",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 3, 2]),
            helper.make_tensor_value_info("shorter", TensorProto.FLOAT, [rows, 1, "T"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = made.SerializeToString()
    return serialized


def config(*, batched: bool, y: str = "3, 2") -> str:
    """What clients see: `x` [6], `factor` [1], `longer` [1, T, 1], `y` [2, 3] and `shorter` [T]."""
    one, batch = ("", "max_batch_size: 8 dynamic_batching { }") if batched else ("1, ", "")
    inputs = (("x", "6", f"{one}2, 3"), ("factor", "1", one.strip(", ")), ("longer", "1, -1, 1", f"{one}-1"))
    outputs = (("y", "2, 3", f"{one}{y}"), ("shorter", "-1", f"{one}1, -1"))
    tensors = [", ".join(TENSOR.format(name=n, dims=d, shape=s) for n, d, s in some) for some in (inputs, outputs)]
    return f"{batch} input [ {tensors[0]} ] output [ {tensors[1]} ]"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("models")
    for batched in (True, False):
        write_model(
            root, "batched" if batched else "alone", config=config(batched=batched), model=model(batched=batched)
        )
    with serving(root) as server:
        yield server


def asked(served: Served, name: str, **arrays: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The outputs for these inputs, by tritonclient."""
    inputs = [triton.InferInput(one, list(array.shape), "FP32") for one, array in arrays.items()]
    for one, array in zip(inputs, arrays.values(), strict=True):
        one.set_data_from_numpy(array)
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
        answer = client.infer(name, inputs)
    return {one: answer.as_numpy(one) for one in ("y", "shorter")}


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_clients_see_dims(served: Served, rows: int) -> None:
    """The model has the same elements in its own shape, for any number of rows, also more than a batch."""
    rng = np.random.default_rng(rows)
    x, factor = rng.normal(size=(rows, 6)).astype(np.float32), rng.normal(size=(rows, 1)).astype(np.float32)
    for length in (1, 5, 5):
        longer = rng.normal(size=(rows, 1, length, 1)).astype(np.float32)

        found = asked(served, "batched", x=x, factor=factor, longer=longer)

        exchanged = (x.reshape(rows, 2, 3) * factor[:, :, None]).transpose(0, 2, 1)
        np.testing.assert_allclose(exchanged.reshape(rows, 2, 3), found["y"], rtol=1e-6)
        np.testing.assert_allclose(longer.reshape(rows, length) / 2, found["shorter"], rtol=1e-6)


def test_without_a_batch_axis(served: Served) -> None:
    """The model's own axis of one is part of its shape."""
    x, longer = np.arange(6, dtype=np.float32), np.arange(4, dtype=np.float32)

    found = asked(served, "alone", x=x, factor=np.array([2], np.float32), longer=longer.reshape(1, 4, 1))

    np.testing.assert_array_equal(2 * x.reshape(2, 3).T.reshape(2, 3), found["y"])
    np.testing.assert_array_equal(longer / 2, found["shorter"])


def test_metadata_have_dims(served: Served) -> None:
    """With the batch axis; the config says both."""
    metadata = httpx.get(f"{served.http}/v2/models/batched").json()
    shapes = {one["name"]: one["shape"] for one in (*metadata["inputs"], *metadata["outputs"])}
    expected = {"x": [-1, 6], "factor": [-1, 1], "longer": [-1, 1, -1, 1], "y": [-1, 2, 3], "shorter": [-1, -1]}

    assert expected == shapes
    told = httpx.get(f"{served.http}/v2/models/batched/config").json()["input"]
    assert [([6], [2, 3]), ([1], [])] == [(one["dims"], one["reshape"].get("shape", [])) for one in told[:2]]


def test_the_model_s_own_shape_is_refused(served: Served) -> None:
    """It isn't what clients see."""
    with pytest.raises(triton.InferenceServerException, match=r'input "x" has shape \[1, 2, 3\], .* takes \[-1, 6\]'):
        asked(
            served,
            "batched",
            x=np.zeros((1, 2, 3), np.float32),
            factor=np.zeros((1, 1), np.float32),
            longer=np.zeros((1, 1, 1, 1), np.float32),
        )


def test_check_compares_the_model_s_shape(tmp_path: Path) -> None:
    """Which another reshape isn't."""
    write_model(tmp_path, "wrong", config=config(batched=True, y="2, 3"), model=model(batched=True))
    write_model(tmp_path, "right", config=config(batched=True), model=model(batched=True))

    code, rows = check(tmp_path)

    assert (2, None) == (code, next(row["problem"] for row in rows if row["model"] == "right"))
    problem = next(row["problem"] for row in rows if row["model"] == "wrong")
    assert 'output "y": config says shape [-1, 2, 3], the model has [-1, 3, 2]' in problem
