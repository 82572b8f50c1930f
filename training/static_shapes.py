"""What a graph reshapes to, said once instead of worked out in every run.

Who records a call writes down where each size came from, by nodes that do nothing but that. What leaving them out gains
is measured by `python -m loadtests.bench_graphs`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

Dims = Sequence[int | str]
"""Sizes of a tensor: a number, or the name of one that varies."""


def with_static_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with constant targets for every Reshape and Expand that keeps what varies as it is.

    Nodes that nothing needs then are left out. What the shapes aren't known of is as it was.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    while _said(found):  # what is said of one shape tells more of those after it
        pass
    _leave_out_unneeded(found.graph)
    return found


def _said(model: onnx.ModelProto) -> bool:
    """Whether there was a target to be said once, all of which are now."""
    dims = _dims(onnx.shape_inference.infer_shapes(model, data_prop=True).graph)
    constants = {one.name for one in model.graph.initializer}
    found = False
    for node in model.graph.node:
        target = None if node.input[1:2] and node.input[1] in constants else _target(node, dims)
        if target is not None:
            name = f"{node.output[0]}_shape"
            model.graph.initializer.append(numpy_helper.from_array(np.array(target, np.int64), name))
            node.input[1] = name
            _copying_zeros(node)
            found = True
    return found


def _copying_zeros(node: onnx.NodeProto) -> None:
    """Let 0 in a Reshape be what was there before; torch.export takes it for a size, and none of 0 is said here."""
    kept = [one for one in node.attribute if one.name != "allowzero"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _dims(graph: onnx.GraphProto) -> Mapping[str, Dims]:
    """The sizes of all tensors that have them."""
    known = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = value.type.tensor_type.shape
        sizes = [one.dim_value if one.HasField("dim_value") else one.dim_param for one in shape.dim]
        if value.type.tensor_type.HasField("shape") and "" not in sizes and 0 not in sizes:
            known[value.name] = sizes
    return known


def _target(node: onnx.NodeProto, dims: Mapping[str, Dims]) -> Sequence[int] | None:
    """The constant that says what a node reshapes to, None if it is no such node or there is none."""
    targets: Mapping[str, Callable[[Dims, Dims], Sequence[int] | None]] = {"Reshape": _reshaped, "Expand": _expanded}
    if node.op_type not in targets or not {node.input[0], node.output[0]} <= dims.keys():
        return None
    return targets[node.op_type](dims[node.input[0]], dims[node.output[0]])


def _reshaped(before: Dims, after: Dims) -> Sequence[int] | None:
    """In a Reshape 0 is what was at the same place before, and -1 what is left; that can be said of one alone."""
    target = []
    for place, size in enumerate(after):
        if isinstance(size, int):
            target.append(size)
        else:
            target.append(0 if place < len(before) and before[place] == size else -1)
    return target if target.count(-1) <= 1 else None


def _expanded(before: Dims, after: Dims) -> Sequence[int] | None:
    """In an Expand 1 is what was at the same place before, counted from the last."""
    padded = [*[1] * (len(after) - len(before)), *before]
    if any(isinstance(size, str) and size != own for own, size in zip(padded, after, strict=True)):
        return None
    return [size if isinstance(size, int) else 1 for size in after]


def _leave_out_unneeded(graph: onnx.GraphProto) -> None:
    needed = {one.name for one in graph.output}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= _read(node)
    constants = [one for one in graph.initializer if one.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)


def _read(node: onnx.NodeProto) -> set[str]:
    """Names of tensors that a node reads, or the graphs inside it."""
    read = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            read |= {one.name for one in graph.output}.union(*(_read(one) for one in graph.node))
    return read
