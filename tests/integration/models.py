"""Small ONNX models that do something particular."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper


def lengths() -> bytes:
    """`ids` and `mask`, both INT64 [N, T], to `states` FP32 [N, T] (twice the ids) and `total` (the masked sum) [N]."""
    return _model(
        [
            helper.make_node("Cast", ["ids"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["floats", "floats"], ["states"]),
            helper.make_node("Mul", ["floats", "weights"], ["masked"]),
            helper.make_node("ReduceSum", ["masked", "axis"], ["total"], keepdims=0),
        ],
        inputs=[("ids", TensorProto.INT64, ["N", "T"]), ("mask", TensorProto.INT64, ["N", "T"])],
        outputs=[("states", TensorProto.FLOAT, ["N", "T"]), ("total", TensorProto.FLOAT, ["N"])],
        constants={"axis": np.array([1])},
    )


def centred() -> bytes:
    """x FP32 [N, 4] minus the mean over the whole batch: every batch-mate changes the answer."""
    return _model(
        [
            helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        inputs=[("x", TensorProto.FLOAT, ["N", 4])],
        outputs=[("y", TensorProto.FLOAT, ["N", 4])],
        constants={"axes": np.array([0])},
    )


def embedding(*, quantized: bool) -> bytes:
    """`ids` INT64 [N, 16], 0 to 9, to `y` FP32 [N, 4]: the mean of their embeddings through one layer. `quantized`, it
    learns the scale of what goes in from the whole batch.
    """
    rng = np.random.default_rng(0)
    constants = {"table": rng.normal(size=(10, 32)).astype(np.float32), "axis": np.array([1])}
    nodes = [helper.make_node("Gather", ["table", "ids"], ["words"])]
    if quantized:
        constants["weights"] = rng.integers(-127, 128, (32, 4)).astype(np.int8)
        nodes += [
            helper.make_node("DynamicQuantizeLinear", ["words"], ["steps", "scale", "zero"]),
            helper.make_node("MatMulInteger", ["steps", "weights", "zero"], ["sums"]),
            helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["floats", "scale"], ["states"]),
        ]
    else:
        constants["weights"] = rng.normal(size=(32, 4)).astype(np.float32)
        nodes.append(helper.make_node("MatMul", ["words", "weights"], ["states"]))
    return _model(
        [*nodes, helper.make_node("ReduceMean", ["states", "axis"], ["y"], keepdims=0)],
        inputs=[("ids", TensorProto.INT64, ["N", 16])],
        outputs=[("y", TensorProto.FLOAT, ["N", 4])],
        constants=constants,
    )


def fixed() -> bytes:
    """x FP32 [1, 4] plus itself: there is no batch axis."""
    return _model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        inputs=[("x", TensorProto.FLOAT, [1, 4])],
        outputs=[("y", TensorProto.FLOAT, [1, 4])],
        constants={},
    )


def rows() -> bytes:
    """x FP32 [N, 4] plus itself: what a model with a batch axis looks like."""
    return _model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        inputs=[("x", TensorProto.FLOAT, ["N", 4])],
        outputs=[("y", TensorProto.FLOAT, ["N", 4])],
        constants={},
    )


def identity(kind: int, shape: Sequence[str | int] = ("N", "T")) -> bytes:
    """x of one of ONNX's types, answered as y."""
    return _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        inputs=[("x", kind, shape)],
        outputs=[("y", kind, shape)],
        constants={},
    )


def single() -> bytes:
    """x FP32 [N, T] plus one, which is looked up at N - 1 in a table of one: more rows than that are refused."""
    return _model(
        [
            helper.make_node("Shape", ["x"], ["rows"], start=0, end=1),
            helper.make_node("Sub", ["rows", "first"], ["index"]),
            helper.make_node("Gather", ["table", "index"], ["found"]),
            helper.make_node("Add", ["x", "found"], ["y"]),
        ],
        inputs=[("x", TensorProto.FLOAT, ["N", "T"])],
        outputs=[("y", TensorProto.FLOAT, ["N", "T"])],
        constants={"first": np.array([1]), "table": np.ones(1, np.float32)},
    )


def looping() -> bytes:
    """`ids` INT64 [N, T] to `states` FP32 [N, T], the same: after as many rounds of a loop as the largest id says."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["goes"]),
            helper.make_node("Add", ["count", "count"], ["counted"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("count", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("counted", TensorProto.FLOAT, [1]),
        ],
    )
    return _model(
        [
            helper.make_node("ReduceMax", ["ids"], ["rounds"], keepdims=0),
            helper.make_node("Loop", ["rounds", "", "zero"], ["nothing"], body=body),
            helper.make_node("Cast", ["ids"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["floats", "nothing"], ["states"]),
        ],
        inputs=[("ids", TensorProto.INT64, ["N", "T"])],
        outputs=[("states", TensorProto.FLOAT, ["N", "T"])],
        constants={"zero": np.zeros(1, np.float32)},
    )


def divided() -> bytes:
    """1000 divided by x, both INT32 [N, 1]: zeros are refused."""
    return _model(
        [helper.make_node("Div", ["thousand", "x"], ["y"])],
        inputs=[("x", TensorProto.INT32, ["N", 1])],
        outputs=[("y", TensorProto.INT32, ["N", 1])],
        constants={"thousand": np.array([1000], np.int32)},
    )


def texts() -> bytes:
    """`t` BYTES [N] to `y` BYTES [N], the same."""
    return _model(
        [helper.make_node("Identity", ["t"], ["y"])],
        inputs=[("t", TensorProto.STRING, ["N"])],
        outputs=[("y", TensorProto.STRING, ["N"])],
        constants={},
    )


def hanging(on: float) -> bytes:
    """x FP32 [N, 1] to itself; a batch with a row of `on` is computed for as long as the process lives."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]), helper.make_node("Identity", ["x_in"], ["x_out"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_in", TensorProto.FLOAT, ["N", 1]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", TensorProto.FLOAT, ["N", 1]),
        ],
    )
    return _model(
        [
            helper.make_node("Equal", ["x", "on"], ["bad"]),
            helper.make_node("Cast", ["bad"], ["numbers"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["numbers"], ["worst"], keepdims=0),
            helper.make_node("Mul", ["worst", "many"], ["times"]),
            helper.make_node("Loop", ["times", "always", "x"], ["y"], body=body),
        ],
        inputs=[("x", TensorProto.FLOAT, ["N", 1])],
        outputs=[("y", TensorProto.FLOAT, ["N", 1])],
        constants={"on": np.array([[on]], np.float32), "many": np.array(2**62), "always": np.array(True)},
    )


def slow(layers: int = 12, width: int = 1024) -> bytes:
    """x FP32 [N, 64] through so many square layers: milliseconds a row."""
    rng = np.random.default_rng(0)
    constants = {"first": rng.normal(size=(64, width)).astype(np.float32)}
    constants["square"] = (rng.normal(size=(width, width)) / width**0.5).astype(np.float32)
    constants["last"] = rng.normal(size=(width, 10)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "first"], ["h0"])]
    nodes += [helper.make_node("MatMul", [f"h{number}", "square"], [f"h{number + 1}"]) for number in range(layers)]
    nodes.append(helper.make_node("MatMul", [f"h{layers}", "last"], ["y"]))
    return _model(
        nodes,
        inputs=[("x", TensorProto.FLOAT, ["N", 64])],
        outputs=[("y", TensorProto.FLOAT, ["N", 10])],
        constants=constants,
    )


def doubled() -> bytes:
    """x FP32 [N, T], of any length, twice: answers are as large as what was asked."""
    return _model(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        inputs=[("x", TensorProto.FLOAT, ["N", "T"])],
        outputs=[("y", TensorProto.FLOAT, ["N", "T"])],
        constants={},
    )


def summing() -> bytes:
    """x FP32 [N, 1] added to a state: `sum` to `new_sum`, which is `y` too."""
    return _model(
        [helper.make_node("Add", ["x", "sum"], ["new_sum"]), helper.make_node("Identity", ["new_sum"], ["y"])],
        inputs=[("x", TensorProto.FLOAT, ["N", 1]), ("sum", TensorProto.FLOAT, ["N", 1])],
        outputs=[("y", TensorProto.FLOAT, ["N", 1]), ("new_sum", TensorProto.FLOAT, ["N", 1])],
        constants={},
    )


def lstm(*, steps: int, seed: int = 0) -> bytes:
    """An LSTM of 8 cells over x FP32 [N, `steps`, 4] from the states `h` and `c` [N, 8], to `y` [N, `steps`, 8] and the
    states `h_out` and `c_out`. The weights are those of the seed, however many steps.
    """
    rng = np.random.default_rng(seed)
    constants = {
        "w": rng.normal(size=(1, 32, 4)).astype(np.float32),
        "r": (rng.normal(size=(1, 32, 8)) / 3).astype(np.float32),
        "first": np.array([0]),
        "second": np.array([1]),
    }
    return _model(
        [
            helper.make_node("Transpose", ["x"], ["by_step"], perm=[1, 0, 2]),
            helper.make_node("Unsqueeze", ["h", "first"], ["h_in"]),
            helper.make_node("Unsqueeze", ["c", "first"], ["c_in"]),
            helper.make_node("LSTM", ["by_step", "w", "r", "", "", "h_in", "c_in"], ["ys", "hs", "cs"], hidden_size=8),
            helper.make_node("Squeeze", ["ys", "second"], ["flat"]),
            helper.make_node("Transpose", ["flat"], ["y"], perm=[1, 0, 2]),
            helper.make_node("Squeeze", ["hs", "first"], ["h_out"]),
            helper.make_node("Squeeze", ["cs", "first"], ["c_out"]),
        ],
        inputs=[
            ("x", TensorProto.FLOAT, ["N", steps, 4]),
            ("h", TensorProto.FLOAT, ["N", 8]),
            ("c", TensorProto.FLOAT, ["N", 8]),
        ],
        outputs=[
            ("y", TensorProto.FLOAT, ["N", steps, 8]),
            ("h_out", TensorProto.FLOAT, ["N", 8]),
            ("c_out", TensorProto.FLOAT, ["N", 8]),
        ],
        constants=constants,
    )


Port = tuple[str, int, Sequence[str | int]]


def _model(
    nodes: Sequence[NodeProto], *, inputs: Sequence[Port], outputs: Sequence[Port], constants: dict[str, np.ndarray]
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*port) for port in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized
