"""The contract between the training loop and what is being learnt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import torch
from torch import nn

from training.data.batches import Batch

Better: TypeAlias = Mapping[str, Literal["smaller", "larger"]]
"""The metrics of a task by name, and which of two values is the better one."""
LOSS = "loss"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One batch judged: `loss` is what training lowers (a scalar with its graph), `metrics` are batch means.

    `count` is how many things these are the means of, where that isn't the number of inputs. `weight` is what the loss,
    also the metric of that name, is the mean over, where that isn't the count. Where there is nothing to count a mean
    is the sum: so parts of a batch can be put together to what the whole batch is.
    """

    loss: torch.Tensor
    metrics: Mapping[str, float]
    count: int | None = None
    weight: float | None = None

    def weight_of(self, batch: Batch, metric: str = LOSS) -> float:
        """What a metric of this `batch`, or its loss, is the mean over."""
        if metric == LOSS and self.weight is not None:
            return self.weight
        return len(batch.inputs) if self.count is None else self.count


class Task(Protocol):
    """Judges a network on a batch."""

    @property
    def better(self) -> Better:
        """The metrics of its judgements; `loss` is among them."""
        ...

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss and metrics of `network` on `batch`.

        What is left to chance is drawn from torch's random state, which the loop seeds.
        """
        ...


@runtime_checkable
class Game(Task, Protocol):
    """A task of players that learn against each other: parts of the network, each with an optimizer of its own.

    In every step each has its turn, in order, and is judged anew on the same batch. A call of the task judges all of
    them together, for validation.
    """

    @property
    def turns(self) -> tuple[str, ...]:
        """The names of the network's submodules that learn, the first one first."""
        ...

    def judge(self, turn: str, network: nn.Module, batch: Batch) -> Judgement:
        """The loss that `turn` lowers by its own weights, those of the others being as they are."""
        ...


@runtime_checkable
class Together(Task, Protocol):
    """A task that compares the inputs of a batch with each other: of parts of it, it isn't the same task."""

    @property
    def together(self) -> Literal[True]:
        """That it is one."""
        ...
