"""Short names for what quantization has added to a file, and for its weights: of a small network a good part is names.

The float file's nodes and what they answer are called as they were, and so are inputs and outputs: by those clients
know a model, and evidence knows which layer a kernel is of.
"""

from collections.abc import Collection, Iterator
from itertools import count

import onnx

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
CONVERSIONS = {"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"}


def shorten(model: onnx.ModelProto, known: Collection[str]) -> None:
    """Rename in place what isn't `known`, names of tensors, and drop what is told of nodes and of shapes in between.

    A model with branches or bodies, which refer to tensors around them, keeps its names.
    """
    graph = model.graph
    graph.ClearField("value_info")
    if any(one.HasField("g") or one.graphs for node in graph.node for one in node.attribute):
        return
    kept = {"", *known, *(one.name for one in (*graph.input, *graph.output))}
    kept |= {one.values.name for one in graph.sparse_initializer}
    fresh = _fresh(kept)
    names = {name: name for name in kept}
    for one in graph.initializer:
        one.name = _name(one.name, names, fresh)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for place, name in enumerate(tensors):
                tensors[place] = _name(name, names, fresh)
        if node.op_type in CONVERSIONS:
            node.name = next(fresh)
        node.ClearField("doc_string")
        node.ClearField("metadata_props")


def _name(old: str, names: dict[str, str], fresh: Iterator[str]) -> str:
    if old not in names:
        names[old] = next(fresh)
    return names[old]


def _fresh(taken: Collection[str]) -> Iterator[str]:
    """Names that aren't taken, the shortest first."""
    for number in count():
        name, left = DIGITS[number % len(DIGITS)], number // len(DIGITS)
        while left:
            left, digit = divmod(left, len(DIGITS))
            name = DIGITS[digit] + name
        if name not in taken:
            yield name
