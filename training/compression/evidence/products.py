"""Multiply-accumulates of a file's layers, by the shapes that follow from those of its inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from training.compression.evidence.arithmetic import multiply_accumulates
from training.compression.evidence.origins import key, multiplies
from training.session import Tensors


def products_of(model: Path, inputs: Tensors) -> Mapping[str, int]:
    """How often each layer of the file `model` multiplies and adds for `inputs` [N, ...], by its name.

    Layers of which shapes aren't known beforehand are missing.
    """
    graph = onnx.shape_inference.infer_shapes(_sized(model, inputs), data_prop=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {one.name: tuple(_sizes(one)) for one in values if all(_sizes(one))}
    shapes |= {one.name: tuple(one.dims) for one in graph.initializer}
    found = {}
    for node in graph.node:
        named = [one for one in (*node.input[:2], *node.output[:1]) if one]
        if multiplies(node) and shapes.keys() >= set(named):
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            # What isn't asked for has no name, as all states of a recurrence of which only the last is read.
            taken, given = ([shapes.get(one, ()) for one in ends] for ends in (node.input[:2], node.output[:1]))
            found[key(node)] = multiply_accumulates(node.op_type, attributes, taken, given, domain=node.domain) or 0
    return found


def _sized(model: Path, inputs: Tensors) -> onnx.ModelProto:
    """The file with its inputs as large as those, and nothing said of what comes out."""
    proto = onnx.load(model, load_external_data=False)
    for value in proto.graph.input:
        if value.name in inputs:
            for dimension, size in zip(value.type.tensor_type.shape.dim, inputs[value.name].shape, strict=True):
                dimension.dim_value = size
    for value in proto.graph.output:
        for dimension in value.type.tensor_type.shape.dim:
            dimension.Clear()
    del proto.graph.value_info[:]
    return proto


def _sizes(value: Any) -> list[int]:
    """The sizes of a tensor, 0 where one isn't known."""
    if not value.type.tensor_type.HasField("shape"):
        return [0]
    return [one.dim_value for one in value.type.tensor_type.shape.dim]
