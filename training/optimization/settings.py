"""How to train: all that a recipe says of a fit."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to train. A step changes the weights once, by the gradient of `accumulate` batches of `batch_size`.

    `learning_rate` is the peak, reached after the share `warmup` of all steps. Then `schedule` says how it is left:
    along a `cosine` to zero; in a `step` at each of `milestones`, shares of all steps, which multiplies it by `factor`;
    or not at all (`constant`).

    `adamw` decays weights apart from the gradient, `sgd` by it; biases and normalisations don't decay. `momentum` says
    how much of earlier gradients a step goes by: Nesterov's for `sgd`, for `adamw` the first of both decays (0.5 for a
    GAN). `clip` is the largest norm of a gradient, 0 for any. With `average` above 0 the weights that count are an
    exponential moving average with that decay: those are validated and kept.

    `watch` is the validation metric that says which epoch is best, and `patience` how many epochs in a row may pass
    without a better one; null watches nothing: the last epoch is kept.

    On a GPU (`cuda`) sums come in no fixed order, so that a run that is repeated there ends close to where it did.
    `acceleration` computes in bfloat16 what bears it (`mixed`), in code made for the network (`compiled`), or `both`;
    `auto` is `mixed` on a GPU that has it, and `none` on a CPU.
    """

    epochs: int
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 0.003
    warmup: float = 0.1
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.01
    clip: float = 0.0
    average: float = 0.0
    watch: str | None = "loss"
    patience: int = 10
    device: Literal["cpu", "cuda"] = "cpu"
    acceleration: Literal["auto", "none", "mixed", "compiled", "both"] = "auto"

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.accumulate, self.patience) < 1:
            raise ValueError("epochs, batch_size, accumulate, patience: must be at least 1")
        if not 0 < self.learning_rate < 1 or not 0 <= self.warmup < 1:
            raise ValueError("learning_rate, warmup: must be between 0 and 1")
        if not all(0 < share < 1 for share in (self.factor, *self.milestones)):
            raise ValueError("milestones, factor: must be between 0 and 1")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("milestones: must be in ascending order")
        if not 0 <= self.momentum < 1 or not 0 <= self.average < 1:
            raise ValueError("momentum, average: must be at least 0 and below 1")
        if self.weight_decay < 0 or self.clip < 0:
            raise ValueError("weight_decay, clip: must not be below 0")
