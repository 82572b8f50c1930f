"""Figures of generated images: formulas of normal distributions, cases by hand, and what a collapse comes to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.features import FeatureNetwork, Seen
from training.metrics.generation import class_score, measure
from training.networks.resnet import ResNetConfig, build
from training.statistics import Values

FEW = Resampling(rounds=60)
NAME = "Hone's digit features"


def seen(features: Values, labels: np.ndarray | None = None, classes: int = 4) -> Seen:
    """Features with probabilities: sure of the labels, or else of nothing."""
    if labels is None:
        return Seen(network=NAME, features=features, probabilities=np.full((len(features), classes), 1 / classes))
    return Seen(network=NAME, features=features, probabilities=np.eye(classes)[labels])


def test_the_frechet_distance_is_that_of_the_formula() -> None:
    """The means' distance, and the traces with that of the root of the product itself; of the same images it is 0."""
    random = np.random.default_rng(1)
    real = random.normal(size=(300, 5)) @ random.normal(size=(5, 5))
    made = random.normal(size=(200, 5)) @ random.normal(size=(5, 5)) + 1
    found = measure(seen(real), seen(made), np.arange(300), FEW).frechet_distance
    spreads = np.cov(real, rowvar=False), np.cov(made, rowvar=False)
    root = np.sqrt(np.linalg.eigvals(spreads[0] @ spreads[1]).real).sum()
    expected = np.square(real.mean(axis=0) - made.mean(axis=0)).sum() + np.trace(sum(spreads)) - 2 * root
    assert pytest.approx(expected) == found.value
    assert found.low < found.value < found.high
    same = measure(seen(real), seen(real), np.arange(300), FEW).frechet_distance
    assert pytest.approx(0.0, abs=1e-9) == same.value


def test_one_feature_by_hand() -> None:
    """Variances 4 and 1 about means 3 apart: 9 + (2 - 1) squared."""
    real = np.array([[-2.0], [2.0]] * 200) * np.sqrt(399 / 400)
    made = np.array([[2.0], [4.0]] * 200) * 1.0
    made = (made - 3) * np.sqrt(399 / 400) + 3
    found = measure(seen(real), seen(made), np.arange(400), FEW)
    assert pytest.approx(10.0) == found.frechet_distance.value


def test_the_class_score_counts_classes() -> None:
    """Sure of one of four each, evenly: 4. Always the same, or never sure: 1. Two of four: 2."""
    assert pytest.approx(4.0) == class_score(np.eye(4)[np.arange(40) % 4])
    assert pytest.approx(2.0) == class_score(np.eye(4)[np.arange(40) % 2])
    assert pytest.approx(1.0) == class_score(np.eye(4)[np.zeros(40, np.int64)])
    assert pytest.approx(1.0) == class_score(np.full((40, 4), 0.25))


def test_collapse_costs_recall_and_coverage() -> None:
    """Who makes images of one class alone, good ones, has all precision, and a quarter of recall and of coverage."""
    random = np.random.default_rng(2)
    labels = np.arange(200) % 4
    real = random.normal(size=(200, 3)) + 50 * np.eye(4)[labels][:, :3]
    found = measure(seen(real, labels), seen(real[labels == 1], labels[labels == 1]), np.arange(200), FEW)
    assert (1.0, 0.25) == (found.precision.value, found.recall.value)
    assert (0.25, 1.0, 4.0) == pytest.approx((found.coverage.value, found.class_score.value, found.real_class_score))
    assert found.frechet_distance.value > 100
    assert NAME == found.features


def test_noise_costs_precision() -> None:
    """Images far from all real ones are none of them, though classes may be seen in them."""
    random = np.random.default_rng(3)
    labels = np.arange(100) % 4
    real, noise = random.normal(size=(100, 3)), 200 + 9 * random.normal(size=(100, 3))
    found = measure(seen(real, labels), seen(noise, labels), np.arange(100), FEW)
    assert (0.0, 0.0, 1.0) == (found.precision.value, found.recall.value, found.coverage.value)


def test_precision_reaches_as_far_as_the_third_neighbour() -> None:
    """Of real ones on a line at 0 1 2 3 10 the third neighbour of 0 is 3 away, that of 10 is 9 away."""
    real = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    made = np.array([[-2.9], [-3.1], [18.9], [19.1], [5.0]])
    found = measure(seen(real), seen(made), np.arange(5), FEW)
    assert (3, 5) == (found.precision.hits, found.precision.count)


def test_features_are_what_the_head_takes() -> None:
    """Through the head they are the classifier's own answers; weights that change later don't change them."""
    classifier = build(ResNetConfig(widths=(16, 32)), seed=1).train()
    images = np.random.default_rng(4).integers(0, 256, (300, 1, 16, 16), dtype=np.uint8)
    network = FeatureNetwork(classifier, "digit")
    found = network(images)
    assert (300, 32) == found.features.shape
    with torch.no_grad():
        logits = classifier.eval().head(torch.from_numpy(found.features).float())
        assert torch.allclose(logits, classifier(torch.from_numpy(images)), atol=1e-4)
        assert logits.softmax(dim=1).numpy() == pytest.approx(found.probabilities, abs=1e-4)
        classifier.head.weight.zero_()
    assert np.array_equal(found.probabilities, network(images).probabilities)


def test_a_name_says_which_features() -> None:
    """Of what they were learnt, and by weights: the same for the same, another for others."""

    def name(seed: int) -> str:
        return FeatureNetwork(build(ResNetConfig(widths=(16,)), seed=seed), "digit").name

    assert name(1) == name(1) != name(2)
    assert name(1).startswith("Hone's digit features (")


def test_what_cant_be_measured_is_told() -> None:
    """No image, too few for neighbours, features that are no numbers, a network without a head."""
    good = seen(np.random.default_rng(5).normal(size=(20, 3)))
    with pytest.raises(Immeasurable, match="empty"):
        measure(good, seen(np.zeros((0, 3))), np.arange(20), FEW)
    with pytest.raises(Immeasurable, match="generated: 3 images are too few, 4 the least"):
        measure(good, seen(np.zeros((3, 3))), np.arange(20), FEW)
    with pytest.raises(Immeasurable, match="generated: 60 values are NaN"):
        measure(good, seen(np.full((20, 3), np.nan)), np.arange(20), FEW)
    with pytest.raises(Immeasurable, match="Hone's digit features of real images don't compare with others"):
        measure(good, replace(good, network="others"), np.arange(20), FEW)
    with pytest.raises(TypeError, match="linear layer `head`"):
        FeatureNetwork(nn.Sequential(nn.Linear(2, 2)), "digit")
