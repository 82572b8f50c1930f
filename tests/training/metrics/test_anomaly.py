"""Figures of anomaly scores against scikit-learn; thresholds that keep their rate."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.anomaly import measure, threshold

FEW = Resampling(rounds=60)


@pytest.mark.parametrize("scale,shift", [(1.0, 0.0), (1e4, 1e6), (1e-6, -3.0)])
def test_figures_are_those_of_scikit_learn(scale: float, shift: float) -> None:
    """Whatever the scores' units, equal ones included: scores of thousands aren't taken for logits."""
    random = np.random.default_rng(1)
    anomalous = (np.arange(150) % 4 == 0).astype(np.int64)
    scores = scale * np.round(random.normal(size=150) + 1.5 * anomalous, 1) + shift
    found = measure(scores, anomalous, np.arange(150), scale + shift, FEW)
    assert pytest.approx(roc_auc_score(anomalous, scores), abs=1e-6) == found.auroc.value
    assert pytest.approx(average_precision_score(anomalous, scores), abs=1e-6) == found.average_precision.value
    assert found.auroc.low < found.auroc.value < found.auroc.high
    assert (scores[anomalous == 1] > scale + shift).sum() == found.detected.hits
    assert (scores[anomalous == 0] > scale + shift).sum() == found.false_alarms.hits
    assert pytest.approx(anomalous.mean()) == found.anomalous


@pytest.mark.parametrize("rate,expected", [(0.01, 98), (0.05, 94), (0.2, 79), (0.999, 0)])
def test_a_threshold_keeps_its_rate(rate: float, expected: float) -> None:
    """Of a hundred scores as many lie above it as the rate allows, and it is the least that does so."""
    assert expected == threshold(np.random.default_rng(1).permutation(100).astype(np.float32), rate)


def test_equal_scores_dont_pass_the_rate() -> None:
    """Where many normal scores are equal, none of them lies above, rather than all."""
    assert 1.0 == threshold(np.array([0.0] * 5 + [1.0] * 15), 0.5)


def test_what_cant_be_measured_is_told() -> None:
    """Test parts with anomalies alone or without any, rates finer than the scores, rates that are none."""
    for label, name in ((0, "normal"), (1, "anomalous")):
        with pytest.raises(Immeasurable, match=f"only '{name}' in the test part, and at least 2"):
            measure(np.arange(4.0), np.full(4, label), np.arange(4), 0.5, FEW)
    with pytest.raises(Immeasurable, match="limit: nan is no threshold"):
        measure(np.arange(4.0), np.array([0, 1, 0, 1]), np.arange(4), np.nan, FEW)
    with pytest.raises(Immeasurable, match=r"19 scores are too few for a rate of 0\.05: take at least 20"):
        threshold(np.arange(19.0), 0.05)
    with pytest.raises(Immeasurable, match="empty"):
        threshold(np.zeros(0), 0.05)
    with pytest.raises(ValueError, match="rate: must be above 0"):
        threshold(np.arange(19.0), 0.0)
