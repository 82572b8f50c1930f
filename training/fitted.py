"""What became of a fit, as later steps and reports read it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch came to: mean training loss, and the validation metrics. `number` counts from 0."""

    number: int
    train_loss: float
    validation: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A finished run: its epochs in order, and the number of the one whose weights the network now has.

    `train` are the task's metrics of those weights on a sample of the training part, taken as validation takes its own:
    in evaluation mode, of inputs that nothing was done to. An epoch's training loss can't be compared with validation.
    """

    epochs: tuple[Epoch, ...]
    best: int
    train: Mapping[str, float]
