"""Tags of tokens against scikit-learn, spans against cases from CoNLL's rules."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from training.bootstrap import Resampling
from training.data.split import NO_TAG
from training.errors import Immeasurable
from training.metrics.tagging import is_bio, measure, spans

FEW = Resampling(rounds=60)
BIO = ("O", "B-name", "I-name", "B-number", "I-number")


def test_figures_are_those_of_scikit_learn() -> None:
    """Accuracy and F1 of the tokens that have a tag, whatever was said of the others."""
    random = np.random.default_rng(1)
    targets = random.integers(0, 4, (30, 12))
    predictions = np.where(random.random((30, 12)) < 0.7, targets, random.integers(0, 4, (30, 12)))
    targets[:, 9:], predictions[:, 11] = NO_TAG, 77
    found = measure(predictions, targets, np.arange(30), ("w", "x", "y", "z"), FEW)
    true, said = targets[:, :9].ravel(), predictions[:, :9].ravel()
    assert pytest.approx((true == said).mean()) == found.accuracy.value
    assert 270 == found.accuracy.count
    assert f1_score(true, said, average=None) == pytest.approx([one.value for one in found.f1.each.values()])
    assert found.f1.mean.low < found.f1.mean.value < found.f1.mean.high
    assert found.spans is None


def test_tokens_of_a_text_go_together() -> None:
    """Texts that are right or wrong as wholes make the accuracy less sure than as many tokens would."""
    targets = np.zeros((20, 50), np.int64)
    predictions = np.where(np.arange(20)[:, None] < 5, 1, targets)
    found = measure(predictions, targets, np.arange(20), ("x", "y"), FEW)
    assert found.accuracy.low < 0.6
    assert found.accuracy.high > 0.85


@pytest.mark.parametrize(
    "tags,expected",
    [
        ("O O", []),
        ("B-name I-name O", [("name", 0, 2)]),
        ("B-name B-name I-name", [("name", 0, 1), ("name", 1, 3)]),
        ("I-name I-number", [("name", 0, 1), ("number", 1, 2)]),
        ("O I-name", [("name", 1, 2)]),
        ("B-number I-number I-number", [("number", 0, 3)]),
    ],
)
def test_spans_of_tags(tags: str, expected: list[tuple[str, int, int]]) -> None:
    """A B begins a span, and so does an I that goes on with nothing of its kind."""
    assert expected == list(spans(tags.split()))


def test_spans_are_right_as_wholes() -> None:
    """Two of three that were said are right, of four: an end too early is wrong, tokens without a tag don't part."""
    targets = np.array([[1, 2, 0, 3, NO_TAG, 4, 0], [1, 0, 0, 1, 2, 2, 0]])
    predictions = np.array([[1, 2, 0, 3, 0, 4, 0], [0, 0, 0, 1, 2, 0, 0]])
    found = measure(predictions, targets, np.arange(2), BIO, FEW).spans
    assert found is not None
    assert (2 / 3, 2 / 4, 4 / 7) == pytest.approx((found.precision.value, found.recall.value, found.f1.value))


@pytest.mark.parametrize(
    "tags,expected", [(BIO, True), (("O",), False), (("B-x", "I-x"), False), (("O", "B-x", "noun"), False)]
)
def test_which_tags_stand_for_spans(tags: tuple[str, ...], expected: bool) -> None:
    """O, and B- and I- of something."""
    assert expected is is_bio(tags)


@pytest.mark.parametrize(
    "predictions,targets,text",
    [
        ([[0, 0]], [[NO_TAG, NO_TAG]], "none in the test part"),
        ([[0, 5]], [[0, 1]], r"predictions: 5 at \[0, 1\] is no class"),
        ([[0, NO_TAG]], [[0, 1]], r"predictions: -100 at \[0, 1\] is no class"),
        ([[0, 0]], [[0, 9]], r"targets: 9 at \[0, 1\] is no class"),
        ([[0, 0]], [[0, 0]], "stand for no span"),
    ],
)
def test_what_cant_be_measured_is_told(predictions: list[list[int]], targets: list[list[int]], text: str) -> None:
    """No token with a tag, tags that aren't there, BIO tags without any span."""
    with pytest.raises(Immeasurable, match=text):
        measure(np.array(predictions * 2), np.array(targets * 2), np.arange(2), BIO, FEW)
