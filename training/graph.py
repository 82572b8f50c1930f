"""What an ONNX graph takes and answers: the names, datatypes and shapes of its tensors."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from service.errors import ArtifactError

BATCH = "batch"
DATATYPES: Mapping[int, str] = {
    TensorProto.BOOL: "BOOL",
    TensorProto.UINT8: "UINT8",
    TensorProto.UINT16: "UINT16",
    TensorProto.UINT32: "UINT32",
    TensorProto.UINT64: "UINT64",
    TensorProto.INT8: "INT8",
    TensorProto.INT16: "INT16",
    TensorProto.INT32: "INT32",
    TensorProto.INT64: "INT64",
    TensorProto.FLOAT16: "FP16",
    TensorProto.FLOAT: "FP32",
    TensorProto.DOUBLE: "FP64",
    TensorProto.STRING: "STRING",
}
"""Datatypes of ONNX that a served model may take and answer, as a config calls them behind `TYPE_`."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output: `dims` is its full shape, -1 for whatever varies; `dtype` is numpy's."""

    name: str
    datatype: str
    dtype: np.dtype[Any]
    dims: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Tensors:
    """All that a graph takes and answers, in its order. `batched`: the first axis of all of them is the batch."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batched: bool


def tensors_of(model: onnx.ModelProto) -> Tensors:
    """What `model` takes and answers. Where the first axis of all of it varies, that is taken for the batch.

    Raises ArtifactError that names what is no tensor that can be served.
    """
    inputs = tuple(_tensor(value) for value in _inputs(model))
    outputs = tuple(_tensor(value) for value in model.graph.output)
    return Tensors(inputs=inputs, outputs=outputs, batched=all(one.dims[:1] == (-1,) for one in (*inputs, *outputs)))


def tensors_in(file: Path) -> Tensors:
    """What the model in an ONNX `file` takes and answers. Raises ArtifactError as `tensors_of` does."""
    return tensors_of(onnx.load(file, load_external_data=False))


def operators_in(file: Path) -> frozenset[str]:
    """The operators of a model's nodes, those in branches and bodies too."""
    return frozenset(node.op_type for node in nodes_of(onnx.load(file, load_external_data=False)))


def weights_in(file: Path) -> frozenset[str]:
    """The datatypes of a model's weights, as `Tensor` calls them; one that isn't served is left out."""
    kinds = {one.data_type for one in onnx.load(file, load_external_data=False).graph.initializer}
    return frozenset(DATATYPES[one] for one in kinds if one in DATATYPES)


def name_batch(model: onnx.ModelProto) -> None:
    """Give the first axis of all inputs and outputs one name: files call it differently in each, or fix it at one."""
    for value in (*_inputs(model), *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    model.graph.ClearField("value_info")  # shapes in between were those of the batch that it had


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """All nodes: the graph's, its functions', and those of the branches and bodies in them."""
    yield from _within((*model.graph.node, *(node for function in model.functions for node in function.node)))


def _within(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _within(graph.node)


def _inputs(model: onnx.ModelProto) -> Sequence[onnx.ValueInfoProto]:
    """Those without a value: older files list their weights among the inputs too."""
    weights = {one.name for one in model.graph.initializer} | {
        one.values.name for one in model.graph.sparse_initializer
    }
    return [value for value in model.graph.input if value.name not in weights]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        hint = "; scikit-learn's converters take the option zipmap=False" if kind == "sequence_type" else ""
        raise ArtifactError(f"{value.name}: is a {str(kind).removesuffix('_type')}, and no tensor{hint}")
    tensor = value.type.tensor_type
    if tensor.elem_type not in DATATYPES:
        found = TensorProto.DataType.Name(tensor.elem_type).lower()
        raise ArtifactError(f"{value.name}: has the datatype {found}; cast it in the model to one of {_known()}")
    if not tensor.HasField("shape"):
        raise ArtifactError(f"{value.name}: the file doesn't say how many axes it has")
    return Tensor(
        name=value.name,
        datatype=DATATYPES[tensor.elem_type],
        dtype=np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)),
        dims=tuple(axis.dim_value if axis.HasField("dim_value") else -1 for axis in tensor.shape.dim),
    )


def _known() -> str:
    return ", ".join(DATATYPES.values())
