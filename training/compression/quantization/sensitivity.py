"""How much each layer suffers from integers: the noise in the answers when that layer alone is quantized.

One layer at a time, since what counts is what becomes of the answers: noise in a layer may be drowned by the next.

Sources: H. Wu et al., "Integer quantization for deep learning inference: principles and empirical evaluation",
arXiv 2004.09602, section 6.1; D. Lin, S. Talathi and V. Annapureddy, "Fixed point quantization of deep convolutional
networks", ICML 2016, for the ratio of signal and noise.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from service.errors import ArtifactError
from training.compression.quantization.calibration import Ranges
from training.compression.quantization.operators import PRODUCTS
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.samples import check_samples
from training.compression.quantization.static import quantizable, quantized_graph
from training.compression.quantization.tables import quantize_tables, tables
from training.compression.quantization.weight_range import reduced_range
from training.graph import tensors_of
from training.session import Arrays, Tensors, open_runner


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """A node that multiplies or picks from a table, and the ratio of signal and noise when it alone is quantized.

    Of several outputs, that of the worst.
    """

    node: str
    operator: str
    decibels: float


def sensitivities(
    model: Path,
    samples: Tensors,
    ranges: Ranges,
    *,
    reduce_range: bool | None = None,
    tell: Callable[[Sensitivity], None] = lambda _: None,
) -> tuple[Sensitivity, ...]:
    """All products and tables of a prepared `model` that can be quantized statically, the most sensitive first.

    `samples`, an array [N, ...] for each input, are what answers are compared on; `tell` hears of each as it is found.
    """
    proto = load_prepared(model)
    tensors = tensors_of(proto)
    check_samples(tensors, samples)
    arrays = [samples[one.name] for one in tensors.inputs]
    expected = open_runner(model)(arrays)
    operators = {node.name: node.op_type for node in proto.graph.node}
    found = []
    for name, alone in _alone(proto, ranges, reduce_range=reduced_range(reduce_range)):
        answers = open_runner(alone.SerializeToString())(arrays)
        found.append(Sensitivity(node=name, operator=operators[name], decibels=_worst(expected, answers)))
        tell(found[-1])
    return tuple(sorted(found, key=lambda one: one.decibels))


def _alone(model: onnx.ModelProto, ranges: Ranges, *, reduce_range: bool) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each node, and the graph in which it alone is quantized; of a table that several pick from, the first."""
    operators = {node.name: node.op_type for node in model.graph.node}
    for name in quantizable(model, ranges):
        if operators[name] in PRODUCTS:
            yield name, quantized_graph(model, ranges, [name], reduce_range=reduce_range)
    for table, pickers in tables(model).items():
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        quantize_tables(copied, [table])
        yield pickers[0].name, copied


def signal_to_noise(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Ten times the decimal logarithm of the power of what was `expected` by that of what it differs by, in decibels.

    Infinite where nothing differs, and minus infinity where what was found is no number.
    """
    signal = np.square(expected.astype(np.float64)).sum()
    noise = np.square(found.astype(np.float64) - expected).sum()
    if np.isnan(noise):
        return -np.inf
    with np.errstate(divide="ignore"):
        return float(np.inf if noise == 0 else 10 * np.log10(signal / noise))


def _worst(expected: Arrays, found: Sequence[NDArray[Any]]) -> float:
    """The least of all outputs that are floats."""
    pairs = [pair for pair in zip(expected, found, strict=True) if pair[0].dtype.kind == "f"]
    if not pairs:
        raise ArtifactError("none of the model's outputs are floats, so there is nothing to tell noise by")
    return min(signal_to_noise(*pair) for pair in pairs)
