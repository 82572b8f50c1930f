"""optimum-onnx by its preset for this kind of processor; run by the interpreter of its environment, without Hone.

`python optimum_preset.py MODEL SAMPLES MODE TARGET`: MODE is `static` or `dynamic`, SAMPLES an .npz of what static
quantization learns ranges from. The last line on stdout is how many seconds that took.
"""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationMethod
from optimum.onnxruntime import AutoQuantizationConfig, ORTQuantizer
from optimum.onnxruntime.configuration import CalibrationConfig


def main(model: Path, samples: Path, mode: str, target: Path) -> None:
    """Quantize `model` into `target`."""
    folder = target.with_suffix(".optimum")
    folder.mkdir()
    started = time.perf_counter()
    quantizer = ORTQuantizer(model)
    static = mode == "static"
    config = AutoQuantizationConfig.avx512_vnni(is_static=static)
    ranges = _ranges(quantizer, config, dict(np.load(samples)), folder) if static else None
    quantizer.quantize(config, folder, calibration_tensors_range=ranges)
    seconds = time.perf_counter() - started
    (made,) = folder.glob("*_quantized.onnx")
    shutil.copy(made, target)
    print(seconds)


def _ranges(quantizer: Any, config: Any, arrays: dict[str, Any], folder: Path) -> Any:
    count = min(map(len, arrays.values()))
    rows = [{name: array[index] for name, array in arrays.items()} for index in range(count)]
    calibration = CalibrationConfig(
        dataset_name="samples",
        dataset_config_name="",
        dataset_split="",
        dataset_num_samples=count,
        method=CalibrationMethod.MinMax,
    )
    return quantizer.fit(
        dataset=rows,
        calibration_config=calibration,
        onnx_augmented_model_name=folder / "augmented.onnx",
        operators_to_quantize=config.operators_to_quantize,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
