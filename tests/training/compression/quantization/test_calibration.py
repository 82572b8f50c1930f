"""Calibration: what ranges are, which samples are refused, and that nothing is learnt twice."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from service.errors import ArtifactError
from tests.training.compression.quantization.files import Prepared, architecture, floats, prepared
from training.compression.quantization import calibration
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static

ROWS = floats(40, 6)
MINMAX = CalibrationSettings()


@pytest.fixture
def mlp(tmp_path: Path) -> Prepared:
    return prepared(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), ROWS, tmp_path)


def test_extremes_are_those_of_all_samples(mlp: Prepared) -> None:
    """Also of those beyond the first batch; what goes in is a range too."""
    ranges = calibrate(mlp.path, mlp.samples, MINMAX)
    answers = mlp.answers()["y"]
    assert ranges["x"] == (float(ROWS.min()), float(ROWS.max()))
    assert ranges["y"] == pytest.approx((float(answers.min()), float(answers.max())))
    assert len(ranges) == 4


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_other_methods_stay_within_the_extremes(mlp: Prepared, method: Any) -> None:
    """They may cut off, and never add."""
    wide = calibrate(mlp.path, mlp.samples, MINMAX)
    narrow = calibrate(mlp.path, mlp.samples, CalibrationSettings(method=method, percentile=90))
    assert wide.keys() == narrow.keys()
    assert all(wide[name][0] <= low and high <= wide[name][1] for name, (low, high) in narrow.items())
    assert method == "entropy" or wide["x"] != narrow["x"]


def test_zeros_do_not_narrow_a_range(tmp_path: Path) -> None:
    """A ReLU makes many, and zero is an integer of its own: by the others, a normal distribution is cut at its tail.

    With zeros counted, less than 0.6 of the range was left, and ResNet-18 lost 15 decibels by it.
    """
    first = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(first.weight)
    it = prepared(nn.Sequential(first, nn.ReLU(), nn.Conv2d(1, 1, 1)), floats(64, 1, 20, 20), tmp_path)
    wide = calibrate(it.path, it.samples, MINMAX)
    narrow = calibrate(it.path, it.samples, CalibrationSettings(method="entropy"))
    (name,) = [name for name in wide if "Relu" in name]
    assert 0.7 * wide[name][1] < narrow[name][1]


def test_samples_that_change_nothing_have_a_range(mlp: Prepared) -> None:
    """A constant is no histogram."""
    for method in ("minmax", "entropy", "percentile"):
        ranges = calibrate(mlp.path, {"x": np.ones((3, 6), np.float32)}, CalibrationSettings(method=method))
        assert ranges["x"] == (1, 1)


def holed(value: float) -> NDArray[np.float32]:
    rows = ROWS.copy()
    rows[7, 2] = rows[9, 1] = value
    return rows


@pytest.mark.parametrize(
    "samples, text",
    [
        ({}, "there are none for the input x"),
        ({"x": ROWS[:0]}, "x is empty"),
        ({"image": ROWS, "x": ROWS}, "no input `image`"),
        ({"x": ROWS.astype(np.float64)}, "x holds float64, the model takes float32"),
        ({"x": ROWS[:, :4]}, r"x is \[40, 4\], the model takes \[-1, 6\]"),
        ({"x": ROWS[0]}, r"x is \[6\], the model takes \[-1, 6\]"),
        ({"x": holed(np.nan)}, "x holds NaN or infinity in 2 of 40 samples, first in sample 7"),
        ({"x": holed(np.inf)}, "x holds NaN or infinity in 2 of 40 samples, first in sample 7"),
    ],
)
def test_unfit_samples_are_refused(mlp: Prepared, samples: dict[str, Any], text: str) -> None:
    """The text names the input, and the sample where one is to blame."""
    with pytest.raises(ArtifactError, match=text):
        calibrate(mlp.path, samples, MINMAX)


def test_inputs_have_as_many_samples() -> None:
    """A row goes into all inputs at once."""
    it = architecture("lstm by steps")
    samples = {**it.samples, "state": it.samples["state"][:3]}
    with pytest.raises(ArtifactError, match="there are 8 of window, 3 of state"):
        calibrate(it.path, samples, MINMAX)


@dataclass
class Counted:
    """Counts how often ranges were learnt."""

    learn: Callable[..., Any]
    count: int = 0

    def __call__(self, *arguments: Any) -> Any:
        self.count += 1
        return self.learn(*arguments)


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(calibration._learnt)
    monkeypatch.setattr(calibration, "_learnt", counted)
    return counted


def test_ranges_are_learnt_once(mlp: Prepared, tmp_path: Path, learnt: Counted) -> None:
    """The same model, samples and settings are found in the folder, to the last bit; anything else isn't."""
    cache = tmp_path / "cache"
    first = calibrate(mlp.path, mlp.samples, MINMAX, cache=cache)
    assert first == calibrate(mlp.path, mlp.samples, MINMAX, cache=cache)
    assert learnt.count == 1
    others = ROWS.copy()
    others[0, 0] += 1
    calibrate(mlp.path, {"x": others}, MINMAX, cache=cache)
    calibrate(mlp.path, mlp.samples, CalibrationSettings(method="entropy"), cache=cache)
    other = prepared(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)), ROWS, cache)
    calibrate(other.path, mlp.samples, MINMAX, cache=cache)
    assert learnt.count == 4


@pytest.mark.parametrize("damage", [lambda kept: kept[:-3], lambda kept: kept.replace(b"1", b"2"), lambda _: b""])
def test_a_damaged_file_is_made_again(
    mlp: Prepared, tmp_path: Path, learnt: Counted, damage: Callable[[bytes], bytes]
) -> None:
    """Cut off, changed, or empty: the ranges are learnt anew, and kept."""
    expected = calibrate(mlp.path, mlp.samples, MINMAX, cache=tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    for _ in range(2):
        assert expected == calibrate(mlp.path, mlp.samples, MINMAX, cache=tmp_path / "cache")
    assert learnt.count == 2


class Overflowing(nn.Module):
    """Divides by zero before its second layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        answers: torch.Tensor = self.second(hidden / (hidden * 0).abs())
        return answers.nan_to_num()


def test_a_layer_of_what_is_not_finite_stays_in_float(tmp_path: Path) -> None:
    """No integers can stand for infinity; the layer and the tensor are named."""
    it = prepared(Overflowing(), ROWS, tmp_path)
    quantized = static(it.path, tmp_path / "int8.onnx", calibrate(it.path, it.samples, MINMAX))
    assert quantized.nodes["Gemm"] == ("/first/Gemm",)
    assert "isn't finite on the samples" in quantized.left["/second/Gemm"]
