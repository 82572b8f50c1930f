"""Static quantization: weights and activations become 8-bit integers, with ranges learnt from training images.

Activations are asymmetric uint8, weights symmetric int8 with a scale per output channel (U8S8). That is the one
format for which the CPU has a fast integer kernel: the runtime's own default (S8S8) was measured at 1.1x where this
gives 2.8x.
"""

import io
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from service.errors import ArtifactError
from training.data.split import Images
from training.durable import copy_file, naming

OPERATORS = (
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Flatten",
    "Reshape",
)
"""Operators with an integer kernel or none to need. Anything else would only gain conversions to and from float.

Relu needs none: what it cuts off lies below the range of the uint8 that follows. Left out, each convolution's result
would become a float and an integer again, which was measured at a quarter of a small network's time.
"""

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings:
    """`method` finds the range of an activation: its extremes, the least divergence, or `percentile` of its values.

    `samples` is how many training images are looked at, `min_agreement` the share of validation images that must be
    answered as the float model answers them.
    """

    method: Literal["minmax", "entropy", "percentile"] = "minmax"
    samples: int = 256
    percentile: float = 99.99
    min_agreement: float = 0.9

    def __post_init__(self) -> None:
        if self.samples < 1 or not 50 < self.percentile <= 100:
            raise ValueError("samples, percentile: at least one sample, and a percentile above 50")
        if not 0 <= self.min_agreement <= 1:
            raise ValueError("min_agreement: must be a share")


class ImageReader(CalibrationDataReader):  # type: ignore[misc] # the runtime asks for this base class
    """Hands calibration images to the runtime, a batch at a time."""

    def __init__(self, name: str, images: Images) -> None:
        self._batches = iter([{name: images[start : start + BATCH]} for start in range(0, len(images), BATCH)])

    def get_next(self) -> dict[str, Images] | None:
        """The next batch, None after the last."""
        return next(self._batches, None)


def quantize(source: Path, target: Path, images: Images, settings: QuantizeSettings) -> None:
    """Write the INT8 version of the ONNX file `source` to `target`, calibrated on the first `samples` of `images`.

    `images` are training images, uint8 [N, C, H, W], in random order: the test set must stay unseen. Weights have
    7 bits (`reduce_range`): a CPU without VNNI adds two products of bytes in 16 bits, which would overflow, and a file
    must answer alike wherever it is served. Raises ArtifactError if the preparation failed or nothing was quantized,
    and OSError that names what can't be written.
    """
    with tempfile.TemporaryDirectory() as scratch, naming(Path(scratch)), _quiet():
        prepared, quantized = Path(scratch) / "prepared.onnx", Path(scratch) / "quantized.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        _check_prepared(prepared, source.name)
        quantize_static(
            prepared,
            quantized,
            ImageReader(onnx.load(prepared).graph.input[0].name, images[: settings.samples]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=_METHODS[settings.method],
            extra_options=_options(settings),
        )
        copy_file(quantized, target)
    _check_quantized(target)


_METHODS = {
    "minmax": CalibrationMethod.MinMax,
    "entropy": CalibrationMethod.Entropy,
    "percentile": CalibrationMethod.Percentile,
}


def _options(settings: QuantizeSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"ActivationSymmetric": False, "WeightSymmetric": True}
    if settings.method == "percentile":
        # Its ranges are symmetric unless told otherwise, which wastes half the codes on values that ReLU removed.
        options |= {"CalibTensorRangeSymmetric": False, "CalibPercentile": settings.percentile}
    return options


def _check_prepared(prepared: Path, name: str) -> None:
    # The preparation only logs when its optimizer fails, and leaves the file unwritten or as it was.
    if not prepared.exists() or any(node.op_type == "BatchNormalization" for node in onnx.load(prepared).graph.node):
        raise ArtifactError(f"{name}: couldn't be prepared for quantization")


def _check_quantized(path: Path) -> None:
    operators = [node.op_type for node in onnx.load(path).graph.node]
    if "QuantizeLinear" not in operators or operators.count("DequantizeLinear") < operators.count("Conv"):
        raise ArtifactError(f"{path.name}: wasn't quantized")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the runtime's tools log through the root logger, and print, while they run."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
