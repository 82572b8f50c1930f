"""Sensitivity: which layer suffers most from integers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from service.errors import ArtifactError
from tests.training.compression.quantization.files import Prepared, architecture, floats, prepared
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.sensitivity import Sensitivity, sensitivities, signal_to_noise
from training.compression.quantization.settings import CalibrationSettings

ROWS = floats(64, 16)


def with_a_fragile_layer(tmp_path: Path) -> Prepared:
    """Four layers; into the third come values of which one is a thousand times as large, and means nothing."""
    torch.manual_seed(0)
    first, scaling, fragile, last = nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 16), nn.Linear(16, 4)
    with torch.no_grad():
        scaling.weight.copy_(torch.eye(16))
        scaling.weight[0, 0] = 1000.0
        fragile.weight[:, 0] = 0.0
    return prepared(nn.Sequential(first, nn.Tanh(), scaling, fragile, nn.Tanh(), last), ROWS, tmp_path)


def test_the_most_fragile_layer_is_the_first(tmp_path: Path) -> None:
    """Its integers are spent on a value that doesn't count."""
    it = with_a_fragile_layer(tmp_path)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    heard: list[Sensitivity] = []
    found = sensitivities(it.path, it.samples, ranges, tell=heard.append)
    assert found[0].node == "/3/Gemm"
    assert found[0].decibels < found[1].decibels - 10
    assert [one.decibels for one in found] == sorted(one.decibels for one in found)
    assert sorted(heard, key=str) == sorted(found, key=str)
    assert len(found) == 4


@pytest.mark.parametrize("name", ["resnet that embeds", "encoder", "lstm"])
def test_every_product_that_can_be_quantized_is_told_of(name: str) -> None:
    """And nothing else: nodes without a kernel have no sensitivity."""
    it = architecture(name)
    found = sensitivities(it.path, it.samples, calibrate(it.path, it.samples, CalibrationSettings()))
    products = {"resnet that embeds": 7, "encoder": 9, "lstm": 1}
    assert len(found) == products[name]
    assert all(30 < one.decibels < 150 for one in found)


def test_samples_are_checked() -> None:
    """As they are for calibration."""
    it = architecture("mlp")
    with pytest.raises(ArtifactError, match="there are none for the input row"):
        sensitivities(it.path, {}, {})


@given(st.floats(1e-3, 1e3), st.floats(0.01, 100))
def test_decibels_are_of_powers(share: float, scale: float) -> None:
    """A tenth of the amplitude is 20 decibels, whatever the scale; nothing is infinite."""
    signal = scale * np.array([1.0, -2.0, 3.0])
    assert signal_to_noise(signal, signal * (1 + share)) == pytest.approx(-20 * np.log10(share), abs=1e-6)
    assert signal_to_noise(signal, signal) == np.inf
    assert signal_to_noise(signal, signal * np.nan) == -np.inf
