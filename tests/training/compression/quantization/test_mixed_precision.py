"""Mixed precision: as many layers in float as accuracy needs, found in few trials."""

import math
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.training.compression.quantization.files import architecture
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.mixed_precision import fewest
from training.compression.quantization.sensitivity import sensitivities
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static


@given(st.integers(1, 60))
def test_the_fewest_layers_that_suffice_are_found(needed: int) -> None:
    """Whatever is needed, in about twice the logarithm of trials, none of them twice."""
    tried: list[int] = []

    def enough(kept: int) -> bool:
        tried.append(kept)
        return kept >= needed

    assert needed == fewest(enough, most_trials=100)
    assert len(tried) <= 2 * math.log2(needed + 1) + 2
    assert len(set(tried)) == len(tried)


@given(st.integers(1, 60), st.integers(1, 6))
def test_trials_are_bounded(needed: int, most: int) -> None:
    """The best so far is the result: nothing, if none was enough."""
    tried: list[int] = []

    def enough(kept: int) -> bool:
        tried.append(kept)
        return kept >= needed

    found = fewest(enough, most_trials=most)
    assert 1 <= len(tried) <= most
    assert found == min((one for one in tried if one >= needed), default=None)


def test_a_network_is_made_accurate_enough(tmp_path: Path) -> None:
    """A real one: fewer layers are integers than could be, and the error is below what all of them made."""
    it = architecture("unet")
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    order = [one.node for one in sensitivities(it.path, it.samples, ranges)]
    target = tmp_path / "int8.onnx"
    worst = it.error(static(it.path, target, ranges).model)

    def error(kept: int) -> float:
        return it.error(static(it.path, target, ranges, keep_float=order[:kept]).model)

    found = fewest(lambda kept: kept >= len(order) or error(kept) < worst / 2, most_trials=8)
    assert found is not None
    assert 0 < found < len(order)
    assert error(found) < worst / 2
