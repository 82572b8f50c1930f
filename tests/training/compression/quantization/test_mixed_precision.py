"""Mixed precision: as many layers in float as accuracy needs, found in few trials."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.compression.quantization.files import architecture
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.mixed_precision import mixed_precision
from training.compression.quantization.quantized import Quantized
from training.compression.quantization.sensitivity import sensitivities
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static


class Layers:
    """Layers of which the first few have to stay in float."""

    def __init__(self, needed: int) -> None:
        self.needed = needed
        self.kept = -1

    def quantize(self, names: Sequence[str]) -> Quantized:
        self.kept = len(names)
        return Quantized(model=Path("int8"), method="static", nodes={}, left={}, bytes_before=2, bytes_after=1)

    def accurate(self, _: Path) -> bool:
        return self.kept >= self.needed


@given(st.integers(1, 60), st.data())
def test_the_fewest_layers_that_suffice_are_kept(count: int, data: st.DataObject) -> None:
    """Whatever is needed, in about twice the logarithm of trials; what was written last is the result."""
    layers = Layers(data.draw(st.integers(0, count - 1)))
    order = [str(number) for number in range(count)]
    found = mixed_precision(layers.quantize, order, layers.accurate, most_trials=100)
    assert found.accurate
    assert found.kept == tuple(order[: layers.needed])
    assert layers.kept == layers.needed
    assert len(found.trials) <= 2 * math.log2(count + 1) + 2
    assert len({one.kept for one in found.trials}) == len(found.trials)


@given(st.integers(1, 60))
def test_a_budget_that_cannot_be_met_leaves_the_nearest_miss(count: int) -> None:
    """All but one layer in float, said to be not accurate enough."""
    layers = Layers(count)
    found = mixed_precision(layers.quantize, [str(number) for number in range(count)], layers.accurate, most_trials=100)
    assert not found.accurate
    assert len(found.kept) == layers.kept == count - 1


@given(st.integers(2, 60), st.integers(1, 4), st.data())
def test_trials_are_bounded(count: int, most: int, data: st.DataObject) -> None:
    """The best so far is the result: accurate, if any trial was."""
    layers = Layers(data.draw(st.integers(0, count)))
    order = [str(number) for number in range(count)]
    found = mixed_precision(layers.quantize, order, layers.accurate, most_trials=most)
    assert 1 <= len(found.trials) <= most
    assert found.accurate == any(one.accurate for one in found.trials) == (layers.kept >= layers.needed)
    assert layers.kept == len(found.kept)


@pytest.mark.parametrize("order, most", [((), 3), (("layer",), 0)])
def test_there_is_something_to_try(order: tuple[str, ...], most: int) -> None:
    """Neither no layer nor no trial comes to anything."""
    layers = Layers(0)
    with pytest.raises(ValueError, match="at least one node to choose from, and one trial"):
        mixed_precision(layers.quantize, order, layers.accurate, most_trials=most)


def test_a_network_is_made_accurate_enough(tmp_path: Path) -> None:
    """A real one: fewer layers are integers than could be, and the error is below what all of them made."""
    it = architecture("unet")
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    order = [one.node for one in sensitivities(it.path, it.samples, ranges)]
    target = tmp_path / "int8.onnx"
    worst = it.error(static(it.path, target, ranges).model)
    found = mixed_precision(
        lambda names: static(it.path, target, ranges, keep_float=names), order, lambda path: it.error(path) < worst / 2
    )
    assert found.accurate
    assert 0 < len(found.kept) < len(order)
    assert found.quantized.left.keys() == set(found.kept)
    assert it.error(target) < worst / 2
