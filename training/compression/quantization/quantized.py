"""What became of a file: which nodes were quantized, and which were left in float and why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from service.errors import ArtifactError
from training.compression.quantization.operators import MULTIPLYING
from training.compression.quantization.short_names import shorten
from training.durable import put
from training.graph import nodes_of


@dataclass(frozen=True, kw_only=True)
class Quantized:
    """A file that was quantized by a `method`.

    `nodes` are those that became integers (by `half`: float16), by operator and by their names in the prepared file.
    `left` are those that multiply and stayed in float, with the reason. Sizes are of the prepared and the new file.
    """

    model: Path
    method: str
    nodes: Mapping[str, tuple[str, ...]]
    left: Mapping[str, str]
    bytes_before: int
    bytes_after: int

    def __str__(self) -> str:
        """One line: how many nodes of each operator, how many were left, and what is saved."""
        counts = ", ".join(f"{len(names)} {operator}" for operator, names in self.nodes.items())
        size = f"{self.bytes_before / 1e6:.2f} MB to {self.bytes_after / 1e6:.2f} MB"
        return f"{self.method}: {counts}; {len(self.left)} left in float; {size}"


def write_quantized(
    source: Path,
    target: Path,
    model: onnx.ModelProto,
    *,
    method: str,
    taken: Collection[str],
    reasons: Mapping[str, str],
) -> Quantized:
    """Write `model`, which `method` made of the prepared file `source`, to `target`.

    `taken` are the names of the nodes that it quantized; `reasons` say why others weren't, by name or by operator.
    Raises ArtifactError that names them if no node that multiplies was quantized.
    """
    nodes: dict[str, tuple[str, ...]] = {}
    left = {}
    prepared = onnx.load(source).graph.node
    for node in prepared:
        if node.name in taken:
            nodes[node.op_type] = (*nodes.get(node.op_type, ()), node.name)
        elif node.op_type in MULTIPLYING:
            left[node.name] = reasons.get(node.name) or reasons.get(node.op_type) or "the runtime's tool left it out"
    left |= dict.fromkeys(_nested(source), "it is in a branch or a loop, and those stay as they are")
    if not nodes.keys() & MULTIPLYING:
        told = "; ".join(f"{name}: {reason}" for name, reason in left.items()) or "it multiplies nothing"
        raise ArtifactError(f"{source.name}: nothing was quantized ({told})")
    shorten(model, {name for node in prepared for name in node.output})
    put(target, model.SerializeToString(deterministic=True))
    return Quantized(
        model=target,
        method=method,
        nodes=nodes,
        left=left,
        bytes_before=source.stat().st_size,
        bytes_after=target.stat().st_size,
    )


def _nested(source: Path) -> Sequence[str]:
    """What multiplies in branches and bodies of the file's nodes."""
    model = onnx.load(source)
    outside = {node.name for node in model.graph.node}
    inside = (node for node in nodes_of(model) if node.op_type in MULTIPLYING and node.name not in outside)
    return [node.name or node.output[0] for node in inside]
