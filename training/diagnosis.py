"""What learning curves say of a fit: whether it learnt too little, too much by heart, or as it should; with figures.

Losses are compared, since they tell sooner than shares do, and the loss of the training part is taken as validation's
is: by the kept weights, without dropout or changed inputs. Source: I. Goodfellow, Y. Bengio, A. Courville, "Deep
Learning", 2016, sections 5.2 and 11.3; the thresholds are ours.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from training.fitted import Fitted

Finding = Literal["fine", "underfitting", "overfitting", "diverging", "noisy", "too few epochs", "no verdict"]

FEWEST = 5
"""Epochs from which on curves can be told from chance."""
LAST = 0.2
"""The share of epochs that count as the end."""
FALLING = 0.05
"""A training loss that lost this share of all it lost in the last fifth of the epochs, is still falling."""
NOTABLE = 0.05
"""A loss that changed by less than this share of itself has hardly changed."""
REGAINED = 0.5
"""A training loss that is back up by this share of all it had lost, is rising for good."""
SWINGING = 0.5
"""A loss whose rises add up to this share of its falls goes up and down more than it falls."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What was found, and the figures that say so, in a sentence."""

    finding: Finding
    evidence: str


def diagnose(fitted: Fitted, *, game: bool = False) -> Diagnosis:
    """Judge a fit by its losses, the most serious finding first; that of a `game` can't be judged by them."""
    if game:
        text = "those who learn are measured by each other, so no loss says how good any of them is"
        return Diagnosis(finding="no verdict", evidence=text)
    if (count := len(fitted.epochs)) < FEWEST:
        text = f"{count}, of which a trend can't be told from chance; {FEWEST} are the least"
        return Diagnosis(finding="too few epochs", evidence=text)
    found = _diverging(fitted) or _overfitting(fitted) or _level(fitted) or _underfitting(fitted) or _noisy(fitted)
    return found or Diagnosis(finding="fine", evidence=f"validation follows training; {_gap(fitted)}")


def _diverging(fitted: Fitted) -> Diagnosis | None:
    losses = [epoch.train_loss for epoch in fitted.epochs]
    lowest = min(range(len(losses)), key=losses.__getitem__)
    risen = losses[-1] - losses[lowest]
    if risen <= max(REGAINED * (losses[0] - losses[lowest]), NOTABLE * abs(losses[lowest])):
        return None
    text = f"training loss has risen from {losses[lowest]:.4g} in epoch {lowest + 1} to {losses[-1]:.4g}"
    return Diagnosis(finding="diverging", evidence=f"{text}; a lower learning_rate or more warmup helps")


def _overfitting(fitted: Fitted) -> Diagnosis | None:
    losses = [epoch.validation["loss"] for epoch in fitted.epochs]
    lowest = min(range(len(losses)), key=losses.__getitem__)
    after = losses[lowest + 1 :][-3:]
    risen = median(after) - losses[lowest] if len(after) == 3 else 0.0  # one bad epoch is no trend
    learnt = fitted.epochs[lowest].train_loss - fitted.epochs[-1].train_loss
    if risen <= NOTABLE * abs(losses[lowest]) or learnt <= 0:
        return None
    text = f"validation loss has risen by {risen:.4g} since its best, {losses[lowest]:.4g} in epoch "
    text += f"{lowest + 1}, while training loss fell by {learnt:.4g}; {_gap(fitted)}"
    return Diagnosis(finding="overfitting", evidence=text)


def _level(fitted: Fitted) -> Diagnosis | None:
    losses = [epoch.train_loss for epoch in fitted.epochs]
    if max(losses) - min(losses) > NOTABLE * abs(losses[0]):
        return None
    text = f"training loss hardly changed, from {losses[0]:.4g} to {losses[-1]:.4g}: the network was trained before, or"
    return Diagnosis(finding="no verdict", evidence=f"{text} doesn't learn; {_gap(fitted)}")


def _underfitting(fitted: Fitted) -> Diagnosis | None:
    losses = [epoch.train_loss for epoch in fitted.epochs]
    validation = [epoch.validation["loss"] for epoch in fitted.epochs]
    last = round(LAST * len(losses))
    fell, whole = losses[-1 - last] - losses[-1], max(losses) - losses[-1]
    if fell <= FALLING * whole or min(validation[-last:]) > min(validation[:-last]):
        return None
    epochs = f"the last {last} of {len(losses)} epochs" if last > 1 else f"the last of {len(losses)} epochs"
    text = f"training loss fell by {fell:.4g} in {epochs}, {fell / whole:.0%} of all it lost, and validation with it"
    return Diagnosis(finding="underfitting", evidence=f"{text}: more epochs help; {_gap(fitted)}")


def _noisy(fitted: Fitted) -> Diagnosis | None:
    losses = [epoch.train_loss for epoch in fitted.epochs]
    changes = [later - earlier for earlier, later in pairwise(losses)]
    rises, falls = sum(one for one in changes if one > 0), -sum(one for one in changes if one < 0)
    if rises <= SWINGING * falls:
        return None
    text = f"from epoch to epoch training loss rose by {rises:.4g} in all and fell by {falls:.4g}"
    return Diagnosis(finding="noisy", evidence=f"{text}; a lower learning_rate or larger batches make it steadier")


def _gap(fitted: Fitted) -> str:
    """The kept weights on both parts."""
    validation = fitted.epochs[fitted.best].validation["loss"]
    return f"the kept weights' loss is {fitted.train['loss']:.4g} on training data and {validation:.4g} on validation"
