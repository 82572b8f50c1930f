"""The contract between the training loop and what is being learnt."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from training.data.batches import Batch


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """One batch judged: `loss` is what training lowers (a scalar with its graph), `metrics` are batch means."""

    loss: torch.Tensor
    metrics: Mapping[str, float]


class Task(Protocol):
    """Judges a network on a batch."""

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss and metrics of `network` on `batch`."""
        ...
