"""Multiply-accumulates of a file's layers, by the shapes that they have as it runs."""

from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime

from training.compression.evidence.arithmetic import multiply_accumulates
from training.compression.evidence.origins import key, multiplies
from training.session import Tensors, session_options


def products_of(model: Path, inputs: Tensors) -> Mapping[str, int]:
    """How often each layer of the file `model` multiplies and adds for `inputs` [N, ...], by its name.

    ONNX Runtime computes it as it stands: shapes that follow from those of the inputs leave out all that is
    behind an operator of its own. Layers that can't be counted are missing.
    """
    proto = onnx.load(model)
    layers = [node for node in proto.graph.node if multiplies(node)]
    shapes = {one.name: tuple(one.dims) for one in proto.graph.initializer}
    shapes |= {name: array.shape for name, array in inputs.items()}
    # What isn't asked for has no name, as all states of a recurrence of which only the last is read.
    named = {name for node in layers for name in (*node.input[:2], *node.output[:1]) if name}
    shapes |= _computed(proto, sorted(named - shapes.keys()), inputs)
    found = {}
    for node in layers:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        taken, given = ([shapes.get(one, ()) for one in ends] for ends in (node.input[:2], node.output[:1]))
        count = multiply_accumulates(node.op_type, attributes, taken, given, domain=node.domain)
        if count is not None:
            found[key(node)] = count
    return found


def _computed(proto: onnx.ModelProto, names: list[str], inputs: Tensors) -> Mapping[str, tuple[int, ...]]:
    """The shapes of these tensors, whether the model answers them or not."""
    if not names:
        return {}
    answered = {one.name for one in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in answered)
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return {name: array.shape for name, array in zip(names, session.run(names, dict(inputs)), strict=True)}
