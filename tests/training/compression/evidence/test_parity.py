"""Differences between answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from service.errors import ArtifactError
from tests.training.compression.evidence.models import CNN_OPERATORS, SAMPLES, Models
from training.compression.evidence.parity import Model, parity
from training.session import Tensors, open_model

SAMPLE = {"x": np.arange(10, dtype=np.float32)[:, None]}


def answering(values: NDArray[Any]) -> Model:
    """A model that answers these values [10, C], row by row, for `SAMPLE`."""

    def answer(inputs: Tensors) -> Tensors:
        return {"y": values[inputs["x"][:, 0].astype(int)]}

    return answer


@given(arrays(np.float32, (10, 3), elements=st.floats(-100, 100, width=32)), st.floats(0.001, 0.5), st.integers(1, 12))
def test_a_known_error_has_its_decibels(values: NDArray[np.float32], share: float, batch: int) -> None:
    """Answers that are all too large by a share have that relative error, however many go at a time."""
    values[0, 0] = 50
    found = parity(answering(values), answering(values * np.float32(1 + share)), SAMPLE, batch=batch)["y"]

    assert found.relative_error == pytest.approx(share, rel=1e-3)
    assert found.sqnr_db == pytest.approx(-20 * np.log10(share), abs=0.01)
    assert found.largest_error == pytest.approx(share * np.abs(values).max(), rel=1e-3)
    assert found.numbers == 30


def test_the_same_answers_have_no_error() -> None:
    """Equal answers differ by nothing, and agree."""
    values = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    found = parity(answering(values), answering(values), SAMPLE, classes={"y": 1})["y"]

    assert (found.largest_error, found.relative_error, found.sqnr_db) == (0, 0, np.inf)
    assert (found.agreement, found.unlike) == (1, 0)


def test_numbers_that_are_none_are_counted_apart() -> None:
    """NaN in one model alone is unlike; in both it isn't, and neither spoils the other figures."""
    values = np.ones((10, 3), np.float32)
    values[0, 0] = np.nan
    other = values.copy()
    other[1, 1] = np.inf
    found = parity(answering(values), answering(other), SAMPLE)["y"]

    assert (found.unlike, found.relative_error, found.agreement) == (1, 0, None)


def test_agreement_is_of_classes() -> None:
    """One of ten answers has another most probable class."""
    values = np.tile(np.array([0.1, 0.7, 0.2], np.float32), (10, 1))
    other = values.copy()
    other[4] = [0.5, 0.3, 0.2]

    assert parity(answering(values), answering(other), SAMPLE, classes={"y": 1})["y"].agreement == pytest.approx(0.9)


def test_whole_numbers_differ_or_are_the_same() -> None:
    """Three of thirty ids are others; of floats no such share is told, since hardly any are the same."""
    ids = np.arange(30).reshape(10, 3)
    other = ids.copy()
    other[4] += 100

    assert parity(answering(ids), answering(other), SAMPLE)["y"].differing == pytest.approx(0.1)
    assert parity(answering(ids > 14), answering(ids > 11), SAMPLE)["y"].differing == pytest.approx(0.1)
    assert parity(answering(ids[:, :0]), answering(ids[:, :0]), SAMPLE)["y"].differing is None
    assert parity(answering(ids.astype(np.float32)), answering(other.astype(np.float32)), SAMPLE)["y"].differing is None


def test_models_that_dont_fit_are_refused() -> None:
    """Other shapes, other names and no samples at all are errors that say so."""
    values = np.ones((10, 3), np.float32)

    with pytest.raises(ArtifactError, match=r"y: shape \(10, 2\), expected \(10, 3\)"):
        parity(answering(values), answering(values[:, :2]), SAMPLE)
    with pytest.raises(ArtifactError, match="outputs are z, expected y"):
        parity(answering(values), lambda _: {"z": values}, SAMPLE)
    with pytest.raises(ArtifactError, match="no samples"):
        parity(answering(values), answering(values), {"x": np.zeros((0, 1), np.float32)})


def test_a_quantized_network_is_near_its_original(models: Models) -> None:
    """U8S8 of a real network: a relative error of a few percent."""
    original, quantized = (open_model(one) for one in (models.path("cnn"), models.static("cnn", CNN_OPERATORS)))

    found = parity(original, quantized, SAMPLES["cnn"], classes={"probabilities": 1})["probabilities"]

    assert 0 < found.relative_error < 0.05
    assert found.sqnr_db > 26
