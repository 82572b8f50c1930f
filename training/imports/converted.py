"""A model from elsewhere as an ONNX graph, beside the original that it is to be compared with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import onnx

from training.session import Arrays

Original: TypeAlias = Callable[[Sequence[str], Sequence[Arrays]], Sequence[Mapping[str, Any]]]
"""From the names of the inputs, and batches with an array for each, to the outputs of each batch by their names.

All batches at once, since the original may have to start another interpreter for them.
"""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """The graph and the original. `made_by` says what made the graph of it, for the card.

    `traced` says that a call was recorded to make it, so that whatever varies besides the batch has to be tried.
    """

    model: onnx.ModelProto
    original: Original
    made_by: Mapping[str, str]
    traced: bool = False
