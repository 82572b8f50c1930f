"""Little ONNX models with what few have, each with samples for its only input `x`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
ROWS = 24
KINDS = {np.dtype(np.float16): TensorProto.FLOAT16, np.dtype(np.float64): TensorProto.DOUBLE}


def numbers(*shape: int, dtype: Any = np.float32) -> Array:
    return (np.random.default_rng(sum(shape)).normal(size=shape) / 4).astype(dtype)


def model(
    nodes: Sequence[onnx.NodeProto],
    taken: Sequence[int],
    answered: Sequence[int],
    weights: dict[str, Array],
    *,
    dtype: Any = np.float32,
    opset: int = 17,
) -> onnx.ModelProto:
    """From `x` [N, *taken] to `y` [N, *answered]."""
    kind = KINDS.get(np.dtype(dtype), TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("x", kind, ["N", *taken])],
        [helper.make_tensor_value_info("y", kind, ["N", *answered])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def perceptron(dtype: Any = np.float32, *, opset: int = 17) -> onnx.ModelProto:
    """32 numbers to 10 by 64 in between."""
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["inner"]),
        helper.make_node("Relu", ["inner"], ["cut"]),
        helper.make_node("MatMul", ["cut", "b"], ["y"]),
    ]
    weights = {"a": numbers(32, 64, dtype=dtype), "b": numbers(64, 10, dtype=dtype)}
    return model(nodes, [32], [10], weights, dtype=dtype, opset=opset)


def stacked() -> onnx.ModelProto:
    """[N, 2, 7, 16] by a matrix for each of the two, then by one."""
    nodes = [helper.make_node("MatMul", ["x", "two"], ["inner"]), helper.make_node("MatMul", ["inner", "one"], ["y"])]
    return model(nodes, [2, 7, 16], [2, 7, 16], {"two": numbers(2, 16, 16), "one": numbers(16, 16)})


def empty() -> onnx.ModelProto:
    """A part that has no columns, beside one that has."""
    nodes = [
        helper.make_node("MatMul", ["x", "none"], ["nothing"]),
        helper.make_node("MatMul", ["x", "some"], ["something"]),
        helper.make_node("Concat", ["nothing", "something"], ["y"], axis=1),
    ]
    return model(nodes, [32], [10], {"none": numbers(32, 0), "some": numbers(32, 10)})


def branched(*, also: bool = False) -> onnx.ModelProto:
    """A product in either branch, and `also` one behind them."""
    branches: dict[str, Any] = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["x", name], [f"{name}_y"], name=f"{name}_product")],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, ["N", 16])],
        )
        for name in ("then", "else")
    }
    one = helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.array(1)))
    nodes = [
        one,
        helper.make_node("Size", ["x"], ["size"]),
        helper.make_node("Greater", ["size", "one"], ["many"]),
        helper.make_node("If", ["many"], ["chosen" if also else "y"], **branches),
    ]
    weights = {"then": numbers(32, 16), "else": numbers(32, 16)}
    if also:
        nodes.append(helper.make_node("MatMul", ["chosen", "last"], ["y"]))
        weights["last"] = numbers(16, 16)
    return model(nodes, [32], [16], weights)


def sparse() -> onnx.ModelProto:
    """Weights that are nearly all zero, and stored so."""
    made = model([helper.make_node("MatMul", ["x", "a"], ["y"])], [32], [10], {})
    places = numpy_helper.from_array(np.array([0, 5, 9]), "places")
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(numpy_helper.from_array(numbers(3), "a"), places, [32, 10])
    )
    return made


def transposed() -> onnx.ModelProto:
    """A transposed convolution that doesn't say how large its kernel is."""
    return model(
        [helper.make_node("ConvTranspose", ["x", "kernel"], ["y"])],
        [4, 4, 4],
        [3, 6, 6],
        {"kernel": numbers(4, 3, 3, 3)},
    )


def recurrent() -> onnx.ModelProto:
    """A GRU that answers every step: ONNX Runtime 1.31 ends the process that loads it in float16 on a CPU."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["steps"], perm=[1, 0, 2]),
        helper.make_node("GRU", ["steps", "w", "r"], ["states"], hidden_size=16),
        helper.make_node("Squeeze", ["states", "direction"], ["squeezed"]),
        helper.make_node("Transpose", ["squeezed"], ["rows"], perm=[1, 0, 2]),
        helper.make_node("MatMul", ["rows", "out"], ["y"]),
    ]
    weights = {"w": numbers(1, 48, 8), "r": numbers(1, 48, 16), "out": numbers(16, 4), "direction": np.array([1])}
    return model(nodes, [10, 8], [10, 4], weights)


def samples_of(made: onnx.ModelProto) -> dict[str, Array]:
    """Samples that it takes."""
    tensor = made.graph.input[0].type.tensor_type
    shape = [ROWS, *(axis.dim_value for axis in tensor.shape.dim[1:])]
    return {"x": 4 * numbers(*shape, dtype=helper.tensor_dtype_to_np_dtype(tensor.elem_type))}
