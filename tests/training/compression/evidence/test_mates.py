"""How far batch-mates move an answer."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.compression.quantization.files import architecture
from training.compression.evidence.mates import influence
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.session import Tensors, open_model

ROWS: NDArray[np.float32] = np.array([[1, 2], [3, 4]], np.float32)


def test_each_alone_is_compared_with_all_together() -> None:
    """As a share of the largest answer to each alone; of classes it is the share that differ."""

    def run(inputs: Tensors) -> Tensors:
        rows = inputs["x"]
        return {"apart": rows, "moved": rows + 0.5 * (len(rows) - 1), "class": np.full(len(rows), len(rows) % 2)}

    assert 1.0 == influence(run, {"x": ROWS})
    assert 0.5 / 4 == pytest.approx(influence(lambda inputs: {"moved": run(inputs)["moved"]}, {"x": ROWS}))
    assert 0.0 == influence(lambda inputs: {"apart": run(inputs)["apart"]}, {"x": ROWS})
    assert 0.0 == influence(lambda inputs: {"zeros": np.zeros_like(inputs["x"])}, {"x": ROWS})


def test_what_is_no_number_moves_all_of_an_answer_or_nothing() -> None:
    """It comes with mates, or it is there without them, too."""

    def run(inputs: Tensors) -> Tensors:
        rows = inputs["x"].copy()
        rows[0, 0] = np.inf if len(rows) > 1 else 1
        return {"comes": rows}

    assert 1.0 == influence(run, {"x": ROWS})
    assert 0.0 == influence(lambda inputs: {"stays": np.where(inputs["x"] > 3, np.nan, inputs["x"])}, {"x": ROWS})
    assert 0.0 == influence(lambda inputs: {"none": inputs["x"][:, :0]}, {"x": ROWS})


@pytest.mark.parametrize("name", ["mlp", "lstm", "encoder"])
def test_ranges_of_a_batch_are_its_mates_too(name: str, tmp_path: Path) -> None:
    """Answers of dynamic integers depend on mates, those of static ones don't."""
    it = architecture(name)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    learnt = static(it.path, tmp_path / "static.onnx", ranges).model
    batchs = dynamic(it.path, tmp_path / "dynamic.onnx").model
    assert influence(open_model(learnt), it.samples) < 1e-5 < influence(open_model(batchs), it.samples)
