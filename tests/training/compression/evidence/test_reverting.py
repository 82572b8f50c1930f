"""What costs more than it saves goes back to float."""

from itertools import pairwise
from pathlib import Path

import onnx
import pytest
from onnxruntime.quantization import QuantType

from tests.training.compression.evidence.models import CNN_OPERATORS, Models, batch
from training.compression.evidence.reverting import RevertSettings, costly, revert
from training.compression.evidence.side_by_side import ComparisonSettings, side_by_side

SHORT = ComparisonSettings(seconds=0.005)


def test_layers_that_lose_are_named_with_what_is_fused_to_them(models: Models) -> None:
    """A tiny network's layers cost more than they save, and their activations go with them."""
    original = models.path("mlp")
    found = costly(
        side_by_side(original, models.static("mlp", ("Gemm", "Relu")), batch("mlp"), SHORT), onnx.load(original)
    )

    assert found
    assert all(one.saving > 0 for one in found)
    assert found == sorted(found, key=lambda one: -one.saving)
    nodes = {node.name for node in onnx.load(original).graph.node}
    assert all(one.nodes <= nodes and one.layer in one.nodes for one in found)


def test_a_tiny_network_ends_in_float(models: Models) -> None:
    """Reverting is by names that the quantization takes, and ends no slower than it began."""
    found = revert(
        models.path("mlp"),
        lambda keep: models.static("mlp", ("Gemm", "Relu"), keep_float=keep),
        batch("mlp"),
        RevertSettings(comparison=SHORT),
    )

    assert 1 <= len(found.trials) <= 4
    kept = [trial for trial in found.trials if trial.kept]
    assert kept
    assert found.keep_float == kept[-1].keep_float
    assert all(trial.speed_up > 1 for trial in kept)
    assert found.compared.speed_up > 0.8


def test_what_isnt_faster_isnt_kept(models: Models) -> None:
    """A quantization that becomes slower by what it leaves out is tried until the trials are up, and not kept."""
    asked: list[frozenset[str]] = []
    quantized = models.static("cnn", CNN_OPERATORS)
    slower = models.static("cnn", CNN_OPERATORS, activations=QuantType.QInt8)

    def quantize(keep: frozenset[str]) -> Path:
        asked.append(keep)
        return slower if keep else quantized

    settings = RevertSettings(trials=2, comparison=SHORT)
    found = revert(models.path("cnn"), quantize, batch("cnn"), settings)

    assert asked[0] == frozenset()
    assert len(asked) == 1 + len(found.trials) <= 3
    assert found.model == quantized
    assert all(len(later) < len(earlier) for earlier, later in pairwise(asked[1:]))


def test_there_is_at_least_one_trial() -> None:
    """Settings without a trial are refused."""
    with pytest.raises(ValueError, match="trials"):
        RevertSettings(trials=0)
