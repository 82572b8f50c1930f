"""How a network learns from a trained one: which task is set, and how long it is practised."""

from dataclasses import dataclass

from torch import nn

from training.optimization.settings import FitSettings
from training.tasks.distillation import Distillation


@dataclass(frozen=True, kw_only=True)
class DistilSettings:
    """`temperature` softens the teacher's answers, `soft` is their weight against the labels; `fit` is how to train."""

    fit: FitSettings
    temperature: float = 4.0
    soft: float = 0.9

    def __post_init__(self) -> None:
        if self.temperature <= 0 or not 0 <= self.soft <= 1:
            raise ValueError("temperature: must be positive; soft: must be a share")

    def task(self, teacher: nn.Module) -> Distillation:
        """What is set to a student of `teacher`."""
        return Distillation(teacher=teacher, temperature=self.temperature, soft=self.soft)
