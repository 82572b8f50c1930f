"""An exercise that two processes share is the exercise of one, up to the order of additions."""

from pathlib import Path

import pytest
import torch

from tests.training.compression.distillation.shared_exercise import SHARED, run
from tests.training.test_distributed import torchrun
from training import checkpoint


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All exercises, by two processes."""
    folder = tmp_path_factory.mktemp("shared")
    done = torchrun(Path(__file__).with_name("shared_exercise.py"), folder)
    assert 0 == done.returncode, done.stderr
    return folder


def test_two_processes_teach_what_one_teaches(shared: Path, tmp_path: Path) -> None:
    """Students and projections, where shares of a batch count differently too."""
    run(tmp_path)
    for name in SHARED:
        (found, _), (expected, _) = (checkpoint.read(one / f"{name}.safetensors") for one in (shared, tmp_path))
        assert any("projections" in key for key in found)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.allclose(value, found[key], atol=1e-5), (name, key)
