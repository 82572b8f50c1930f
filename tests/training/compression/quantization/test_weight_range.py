"""How many bits weights have is decided by the CPU, and alike for a file and for what is trained to become one."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from torch import nn

from tests.training.compression.quantization.files import Prepared, floats, prepared
from training.compression.quantization import weight_range
from training.compression.quantization.aware_training import aware
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.compression.quantization.weight_range import reduced_range


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def largest(path: Path) -> int:
    weights = [numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer]
    return max(int(np.abs(one.astype(int)).max()) for one in weights if one.dtype == np.int8)


def files_of(it: Prepared, folder: Path) -> list[Path]:
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    return [
        static(it.path, folder / "static.onnx", ranges).model,
        dynamic(it.path, folder / "dynamic.onnx").model,
    ]


@pytest.mark.parametrize("flags, most", [({"avx2", "avx512_vnni"}, 127), ({"avx_vnni"}, 127), ({"avx2"}, 64)])
def test_the_cpu_decides(
    network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: set[str], most: int
) -> None:
    """Eight bits where products of bytes are added in 32, else seven; training for integers has the same."""
    monkeypatch.setattr(weight_range, "cpu_flags", lambda: frozenset(flags))
    it = prepared(network, floats(8, 16), tmp_path)
    assert [most, most] == [largest(path) for path in files_of(it, tmp_path)]
    assert {most == 64} == {one.reduce_range for one in aware(network).modules() if hasattr(one, "reduce_range")}


def test_what_is_asked_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the CPU has."""
    monkeypatch.setattr(weight_range, "cpu_flags", lambda: frozenset({"avx2"}))
    assert [True, True, False] == [reduced_range(), reduced_range(True), reduced_range(False)]
