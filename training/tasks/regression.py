"""Regression: numbers are wanted of every input; of a window of a series, what comes next (forecasting)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional

from service.errors import SettingsError
from training.data.batches import Batch
from training.tasks.task import Better, Judgement


@dataclass(frozen=True, kw_only=True)
class Regression:
    """The mean `squared` error, or `huber`'s, which beyond `delta` grows only as the error does.

    While training, errors are counted in `unit`, best the deviation of the training targets: gradients, and `delta`,
    then mean the same whatever the targets are measured in.

    Source: P. Huber, "Robust Estimation of a Location Parameter", 1964.
    """

    error: Literal["squared", "huber"] = "squared"
    delta: float = 1.0
    unit: float = 1.0
    better: ClassVar[Better] = {"loss": "smaller", "mae": "smaller"}

    def __post_init__(self) -> None:
        if min(self.delta, self.unit) <= 0:
            raise ValueError("delta, unit: must be positive")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (mean squared error) and `mae` (mean absolute error), in the targets' units.

        Answers and targets are float32 [N, K]. Raises SettingsError if their shapes differ.
        """
        found, wanted = network(batch.inputs), batch.targets
        if found.shape != wanted.shape:
            raise SettingsError(f"the network answers {list(found.shape)} numbers, wanted are {list(wanted.shape)}")
        loss = self.error_of(found - wanted)
        missed = (found.detach() - wanted).abs()
        metrics = {"loss": float(missed.square().mean()), "mae": float(missed.mean())}
        return Judgement(loss=loss, metrics=metrics)

    def error_of(self, missed: torch.Tensor) -> torch.Tensor:
        """The loss of answers that `missed` by this much, in the targets' units: the mean over all of them."""
        errors = missed / self.unit
        if self.error == "squared":
            return errors.square().mean()
        return functional.huber_loss(errors, torch.zeros_like(errors), delta=self.delta)
