"""Files run in this process, by the runtime that will serve them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.export import Signature, export
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime
from training.session import open_model

ROWS = np.random.default_rng(3).normal(size=(16, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("session") / "model.onnx"
    network = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 5))
    export(network, [ROWS], path, Signature(inputs={"rows": ("batch",)}, outputs={"scores": ("batch",)}))
    return path


@pytest.mark.parametrize("runtime,apart", [(ONNX_RUNTIME, 0.0), (OPENVINO, 1e-5), (OPENVINO_BF16, 0.03)])
def test_every_runtime_answers_nearly_the_same(model: Path, runtime: Runtime, apart: float) -> None:
    """By name, and as near as its precision is."""
    expected = open_model(model)({"rows": ROWS})["scores"]
    found = open_model(model, runtime=runtime)({"rows": ROWS})
    assert ["scores"] == list(found)
    assert np.abs(found["scores"] - expected).max() <= apart * np.abs(expected).max()
