"""A model from elsewhere as an ONNX graph, beside the original that it is to be compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx

from training.session import Arrays, output_shapes

Original: TypeAlias = Callable[[Sequence[str], Sequence[Arrays]], Sequence[Mapping[str, Any]]]
"""From the names of the inputs, and batches with an array for each, to the outputs of each batch by their names.

All batches at once, since the original may have to start another interpreter for them.
"""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """The graph and the original. `made_by` says what made the graph of it, for the card.

    `traced` says that a call was recorded to make it, so that whatever varies besides the batch has to be tried.
    Sizes of outputs that the file leaves open and the runtime knows are written into the graph: the service compares a
    config with what the runtime knows.
    """

    model: onnx.ModelProto
    original: Original
    made_by: Mapping[str, str]
    traced: bool = False

    def __post_init__(self) -> None:
        shapes = output_shapes(self.model.SerializeToString())
        for value in self.model.graph.output:
            axes = value.type.tensor_type.shape.dim
            if len(axes) == len(shapes[value.name]):
                for axis, size in zip(axes, shapes[value.name], strict=True):
                    if isinstance(size, int):
                        axis.dim_value = size
