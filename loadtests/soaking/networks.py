"""What the soak serves: small networks whose last output names the edition of the weights that computed the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

INPUTS, OUTPUTS = 64, 10
ROWS = 16
"""Different rows that clients send."""

TABLE = 100
LARGEST = 10_000
BREAKS, REFUSED = -(2**31), 500
"""Values that end the worker of a fragile model (the processor can't divide it by -1), and that the runtime refuses
(beyond a table)."""

Port = tuple[str, int, list[str | int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """`x` FP32 [N, 64] through `layers` of `width` to `y` [N, 11]: ten numbers and the edition."""

    name: str
    width: int
    layers: int
    max_batch_size: int
    instances: int = 1
    backend: str = "onnxruntime"

    def config(self) -> str:
        """Its config.pbtxt."""
        return f"""\
backend: "{self.backend}"
default_model_filename: "model.onnx"
max_batch_size: {self.max_batch_size}
input {{ name: "x" data_type: TYPE_FP32 dims: [ {INPUTS} ] }}
output {{ name: "y" data_type: TYPE_FP32 dims: [ {OUTPUTS + 1} ] }}
dynamic_batching {{ }}
instance_group {{ kind: KIND_CPU count: {self.instances} }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""

    def build(self, edition: int) -> bytes:
        """The network with the weights of an edition, as an ONNX file."""
        first, last, named = _weights(self.width, edition)
        constants = {"first": first, "last": last, "named": named}
        nodes = [helper.make_node("MatMul", ["x", "first"], ["h0"])]
        if self.layers:
            constants["square"] = _square(self.width)
        nodes += [helper.make_node("MatMul", [f"h{one}", "square"], [f"h{one + 1}"]) for one in range(self.layers)]
        nodes += [
            helper.make_node("Relu", [f"h{self.layers}"], ["active"]),
            helper.make_node("Gemm", ["active", "last", "named"], ["y"]),
        ]
        return _file(
            nodes,
            inputs=[("x", TensorProto.FLOAT, ["N", INPUTS])],
            outputs=[("y", TensorProto.FLOAT, ["N", OUTPUTS + 1])],
            constants=constants,
        )


QUICK = Network(name="quick", width=32, layers=0, max_batch_size=16, instances=2)
SECOND = Network(name="second", width=64, layers=2, max_batch_size=8, backend="openvino")
LONG = Network(name="long", width=768, layers=24, max_batch_size=8)
VISITOR = Network(name="visitor", width=16, layers=0, max_batch_size=4)
NETWORKS = {one.name: one for one in (QUICK, SECOND, LONG, VISITOR)}
FRAGILE = "fragile"
FRAGILE_CONFIG = """\
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "k" data_type: TYPE_INT32 dims: [ 4 ] }, { name: "at" data_type: TYPE_INT32 dims: [ 1 ] } ]
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
dynamic_batching { }
instance_group { kind: KIND_CPU count: 1 }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
"""


@lru_cache
def rows() -> NDArray[np.float32]:
    """Everything that clients send to a Network: [ROWS, 64]."""
    return np.random.default_rng(99).normal(size=(ROWS, INPUTS)).astype(np.float32)


@lru_cache(maxsize=4096)
def expected(name: str, edition: int) -> NDArray[np.float32]:
    """What an edition of a network answers to all `rows`, computed by numpy: [ROWS, 11]."""
    network = NETWORKS[name]
    first, last, named = _weights(network.width, edition)
    hidden = rows() @ first
    for _ in range(network.layers):
        hidden @= _square(network.width)
    answer: NDArray[np.float32] = np.maximum(hidden, 0) @ last + named
    return answer


def fragile() -> bytes:
    """`k` INT32 [N, 4] and `at` INT32 [N, 1] to `y` FP32 [N, 4]: k and its remainder by -1, which is 0, plus at."""
    return _file(
        [
            helper.make_node("Mod", ["k", "by"], ["remainder"]),
            helper.make_node("Add", ["k", "remainder"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["table", "at"], ["found"]),
            helper.make_node("Add", ["floats", "found"], ["y"]),
        ],
        inputs=[("k", TensorProto.INT32, ["N", 4]), ("at", TensorProto.INT32, ["N", 1])],
        outputs=[("y", TensorProto.FLOAT, ["N", 4])],
        constants={"by": np.array(-1, np.int32), "table": np.arange(TABLE, dtype=np.float32)},
    )


def expected_of_fragile(k: NDArray[np.int32], at: NDArray[np.int32]) -> NDArray[np.float32]:
    """What the fragile model answers to what it can compute: [N, 4]."""
    answer: NDArray[np.float32] = k.astype(np.float32) + at.astype(np.float32)
    return answer


def _weights(width: int, edition: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The first layer, the last with a column of zeros, and the bias that puts the edition there."""
    random = np.random.default_rng(edition)
    first = (random.normal(size=(INPUTS, width)) / INPUTS**0.5).astype(np.float32)
    last = np.zeros((width, OUTPUTS + 1), np.float32)
    last[:, :OUTPUTS] = random.normal(size=(width, OUTPUTS)) / width**0.5
    named = np.zeros(OUTPUTS + 1, np.float32)
    named[OUTPUTS] = edition
    return first, last, named


@lru_cache
def _square(width: int) -> NDArray[np.float32]:
    """The layer that all editions of a network share; orthogonal, so that depth changes no magnitudes."""
    drawn = np.random.default_rng(7).normal(size=(width, width))
    return np.linalg.qr(drawn)[0].astype(np.float32)


def _file(
    nodes: list[NodeProto], *, inputs: list[Port], outputs: list[Port], constants: Mapping[str, NDArray[Any]]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        "soaked",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*port) for port in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    content: bytes = model.SerializeToString()
    return content
