"""Areas under curves against scikit-learn and torchmetrics, equal scores and repeated positions included."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from training.metrics.ranking import Ranking


@given(
    scored=st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30),
    drawn=st.lists(st.integers(0, 29), min_size=2, max_size=40),
)
def test_areas_are_those_of_the_drawn(scored: list[tuple[int, bool]], drawn: list[int]) -> None:
    """Whatever was drawn, it is as if that were all there is; of one kind alone nothing is said."""
    scores, wanted = np.array([float(one) for one, _ in scored]), np.array([one for _, one in scored])
    chosen = np.array(drawn) % len(scores)
    found = Ranking(scores, wanted).areas(chosen)
    if wanted[chosen].all() or not wanted[chosen].any():
        assert np.isnan(found).all()
        return
    part = wanted[chosen], scores[chosen]
    assert [roc_auc_score(*part), average_precision_score(*part)] == pytest.approx(found.tolist())


def test_areas_are_those_of_torchmetrics() -> None:
    """Of scores between 0 and 1."""
    random = np.random.default_rng(1)
    scores, wanted = np.round(random.random(500), 2), random.random(500) < 0.3
    tensors = torch.from_numpy(scores), torch.from_numpy(wanted).long()
    expected = [float(binary_auroc(*tensors)), float(binary_average_precision(*tensors))]
    assert expected == pytest.approx(Ranking(scores, wanted).areas(np.arange(500)).tolist(), abs=1e-6)


def test_the_curve_is_that_of_scikit_learn() -> None:
    """Few points are all there; of many those that are left have nearly the same area, and begin and end in corners."""
    scores, wanted = np.array([0.9, 0.8, 0.8, 0.4, 0.2]), np.array([True, True, False, True, False])
    expected = roc_curve(wanted, scores, drop_intermediate=False)[:2]
    assert np.stack(expected, axis=1) == pytest.approx(np.array(Ranking(scores, wanted).curve()), abs=1e-4)
    random = np.random.default_rng(1)
    wanted = random.random(2000) < 0.3
    scores = random.normal(size=2000) + wanted
    curve = np.array(Ranking(scores, wanted).curve())
    assert len(curve) <= 60
    assert ([0, 0], [1, 1]) == (curve[0].tolist(), curve[-1].tolist())
    assert (np.diff(curve, axis=0) >= 0).all()
    assert roc_auc_score(wanted, scores) == pytest.approx(auc(*curve.T), abs=0.005)
