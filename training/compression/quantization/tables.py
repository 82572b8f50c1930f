"""Tables that rows are picked from, as embeddings are, in 8 bits: integers are picked, and then made floats.

Each row has a scale of its own, which is picked besides. A scale for each column needs one node instead of three, but
the runtime's kernel for it is slow: by a scale a row a tagger was as fast as with tables of floats, by one a column it
was slower, and the table's error was larger (measured once).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.compression.quantization.operators import weights_of

LEAST = 1 << 14
"""Numbers of a table that is worth it: a run takes three nodes more."""
NARROWEST = 16
"""Numbers of a row, for which four bytes of a scale are little."""
LARGEST = 127
CODES, SCALES = "_picked_codes", "_picked_scales"
"""What is added to names; the runtime's tool adds others."""


def tables(model: onnx.ModelProto, keep_float: Collection[str] = ()) -> Mapping[str, Sequence[onnx.NodeProto]]:
    """The tables of floats that are worth it and from which rows are picked and nothing else: who picks, by name.

    Those with a node named in `keep_float` aren't among them.
    """
    uses: dict[str, list[tuple[int, onnx.NodeProto]]] = defaultdict(list)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            uses[name].append((place, node))
    answered = {one.name for one in model.graph.output}
    return {
        name: [node for _, node in uses[name]]
        for name, one in weights_of(model).items()
        if uses[name]
        and one.data_type == TensorProto.FLOAT
        and len(one.dims) == 2
        and worth_it(*one.dims)
        and name not in answered
        and all(place == 0 and _picks_rows(node) and node.name not in keep_float for place, node in uses[name])
    }


def worth_it(rows: int, columns: int) -> bool:
    """Whether a table of this shape is to be integers."""
    return columns >= NARROWEST and rows * columns >= LEAST


def quantize_tables(model: onnx.ModelProto, names: Collection[str]) -> set[str]:
    """Make the tables of these `names` integers, in place; the names of the nodes that pick from them.

    Nodes that are added are called after them, so that their time is told as theirs.
    """
    chosen = {name: nodes for name, nodes in tables(model).items() if name in names}
    weights = weights_of(model)
    for name, pickers in chosen.items():
        codes, scales = _symmetric(numpy_helper.to_array(weights[name]))
        model.graph.initializer.remove(weights[name])
        model.graph.initializer.append(numpy_helper.from_array(codes, f"{name}{CODES}"))
        model.graph.initializer.append(numpy_helper.from_array(scales, f"{name}{SCALES}"))
        for node in pickers:
            at = next(index for index, one in enumerate(model.graph.node) if one.output == node.output)
            for added in reversed(_picked(node, name)):
                model.graph.node.insert(at + 1, added)
            node.input[0], node.output[0] = f"{name}{CODES}", f"{node.output[0]}{CODES}"
    return {node.name for pickers in chosen.values() for node in pickers}


def _picks_rows(node: onnx.NodeProto) -> bool:
    return node.op_type == "Gather" and not any(one.name == "axis" and one.i != 0 for one in node.attribute)


def _symmetric(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The int8 codes of a table [rows, columns], and the scale of each row [rows, 1]."""
    scales = np.abs(table).max(axis=1, keepdims=True) / np.float32(LARGEST)
    scales = np.where(scales < np.finfo(np.float32).tiny, np.float32(1), scales)
    return np.rint(table / scales).astype(np.int8), scales


def _picked(node: onnx.NodeProto, table: str) -> list[onnx.NodeProto]:
    """The nodes that make floats of what `node` picks."""
    answer, name = node.output[0], node.name
    codes, scale, floats = (f"{answer}{one}" for one in (CODES, SCALES, f"{CODES}_as_floats"))
    return [
        helper.make_node("Cast", [codes], [floats], name=f"{name}_DequantizeLinear", to=TensorProto.FLOAT),
        helper.make_node("Gather", [f"{table}{SCALES}", node.input[1]], [scale], name=f"{name}_quant"),
        helper.make_node("Mul", [floats, scale], [answer], name=f"{name}_DequantizeLinear_quant"),
    ]
