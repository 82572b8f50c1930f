"""What learning curves say: each finding with the figures that it rests on."""

from collections.abc import Sequence

import pytest

from training.diagnosis import FEWEST, diagnose
from training.fitted import Epoch, Fitted

FALLING = (2.0, 1.0, 0.6, 0.45, 0.4, 0.37, 0.36, 0.355, 0.352, 0.351)
"""A training loss that has come to its end."""


def fitted(train: Sequence[float], validation: Sequence[float], *, kept: float = 0.3) -> Fitted:
    epochs = tuple(
        Epoch(number=number, train_loss=loss, validation={"loss": other})
        for number, (loss, other) in enumerate(zip(train, validation, strict=True))
    )
    best = min(epochs, key=lambda epoch: epoch.validation["loss"]).number
    return Fitted(epochs=epochs, best=best, train={"loss": kept})


def test_curves_that_have_come_to_an_end_together_are_fine() -> None:
    """The kept weights' losses are named, both taken in the same way."""
    found = diagnose(fitted(FALLING, [loss + 0.1 for loss in FALLING]))
    assert "fine" == found.finding
    assert found.evidence.endswith("the kept weights' loss is 0.3 on training data and 0.451 on validation")


def test_a_validation_loss_that_rises_while_training_falls_is_overfitting() -> None:
    """By how much, since which epoch, and what training lost in the meantime."""
    validation = (2.1, 1.1, 0.8, 0.7, 0.72, 0.75, 0.8, 0.86, 0.9, 0.95)
    found = diagnose(fitted(FALLING, validation))
    assert "overfitting" == found.finding
    text = "validation loss has risen by 0.2 since its best, 0.7 in epoch 4, while training loss fell by 0.099"
    assert found.evidence.startswith(text)
    assert "0.3 on training data and 0.7 on validation" in found.evidence


def test_one_bad_epoch_at_the_end_is_no_overfitting() -> None:
    """A trend is what the median of three epochs says."""
    validation = [loss + 0.1 for loss in FALLING]
    validation[-1] = 2.0
    assert "fine" == diagnose(fitted(FALLING, validation)).finding


def test_a_training_loss_that_still_falls_is_underfitting() -> None:
    """How much it lost in the last fifth of the epochs, and which share of all that is."""
    train = [2.0 - 0.1 * epoch for epoch in range(10)]
    found = diagnose(fitted(train, [loss + 0.1 for loss in train]))
    assert "underfitting" == found.finding
    text = "training loss fell by 0.2 in the last 2 of 10 epochs, 22% of all it lost, and validation with it"
    assert found.evidence.startswith(text)


def test_a_loss_that_rose_first_and_ends_where_it_began_is_judged_by_its_highest() -> None:
    """A bad start doesn't make the fall at the end a larger share than it is, nor none at all."""
    train = (1.0, 2.0, 1.9, 1.8, 1.6, 1.0)
    found = diagnose(fitted(train, train))
    assert "underfitting" == found.finding
    assert "fell by 0.6 in the last of 6 epochs, 60% of all it lost" in found.evidence


def test_learning_what_validation_does_not_reward_is_no_underfitting() -> None:
    """More epochs would help training alone."""
    train = [2.0 - 0.1 * epoch for epoch in range(10)]
    validation = (2.1, 1.8, 1.5, 1.4, 1.4, 1.39, 1.38, 1.38, 1.39, 1.39)
    assert "fine" == diagnose(fitted(train, validation)).finding


@pytest.mark.parametrize("train", [(2.0, 1.0, 0.5, 0.9, 1.6, 2.5), (2.0, 2.2, 2.5, 2.9, 3.4, 4.0)])
def test_a_training_loss_that_comes_back_up_is_diverging(train: Sequence[float]) -> None:
    """From where to where it rose; what validation does is of no account then."""
    found = diagnose(fitted(train, train))
    assert "diverging" == found.finding
    lowest = min(train)
    text = f"training loss has risen from {lowest:.4g} in epoch {train.index(lowest) + 1} to {train[-1]:.4g}"
    assert found.evidence.startswith(text)


def test_a_loss_that_goes_up_and_down_is_noisy() -> None:
    """The rises and falls are added up."""
    train = (2.0, 1.2, 1.8, 1.0, 1.5, 0.9, 1.3, 0.9, 1.2, 0.95)
    found = diagnose(fitted(train, [1.0] * 10))
    assert "noisy" == found.finding
    assert found.evidence.startswith("from epoch to epoch training loss rose by 1.8 in all and fell by 2.85")


def test_a_level_loss_has_no_verdict() -> None:
    """A network that learnt before and one that learns nothing look the same."""
    found = diagnose(fitted([2.3, 2.301, 2.299, 2.302, 2.3], [2.3] * 5))
    assert "no verdict" == found.finding
    assert found.evidence.startswith("training loss hardly changed, from 2.3 to 2.3")


@pytest.mark.parametrize("count", [1, FEWEST - 1])
def test_few_epochs_say_nothing(count: int) -> None:
    """However they look."""
    found = diagnose(fitted(FALLING[:count], FALLING[:count]))
    assert "too few epochs" == found.finding
    assert found.evidence.startswith(f"{count}, of which")


def test_a_game_has_no_verdict() -> None:
    """It says why: the losses are measured by each other."""
    found = diagnose(fitted(FALLING, FALLING), game=True)
    assert "no verdict" == found.finding
    assert "measured by each other" in found.evidence
