"""All that static quantization takes, from any ONNX file with a batch to its INT8 version."""

import tempfile
from collections.abc import Collection
from pathlib import Path

from training.compression.quantization.calibration import calibrate
from training.compression.quantization.preparation import prepare
from training.compression.quantization.quantized import Quantized
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.session import Tensors


def quantize(
    source: Path,
    target: Path,
    samples: Tensors,
    settings: CalibrationSettings,
    *,
    cache: Path | None = None,
    keep_float: Collection[str] = (),
    reduce_range: bool | None = None,
) -> Quantized:
    """Write the INT8 version of the ONNX file `source` to `target`, calibrated on `samples`, an array for each input.

    See `prepare`, `calibrate` and `static` for the rest, and for what is raised.
    """
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / source.name
        prepare(source, prepared)
        ranges = calibrate(prepared, samples, settings, cache=cache)
        return static(prepared, target, ranges, keep_float=keep_float, reduce_range=reduce_range)
