"""Metric learning: inputs of one class shall lie close together, also of classes that nobody has shown yet.

Source: P. Khosla et al., "Supervised Contrastive Learning", 2020, arXiv 2004.11362 (the loss with the sum outside).
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from service.errors import SettingsError
from training.data.batches import Batch
from training.tasks.task import Better, Judgement

ROUNDING = 0.05
"""What the square of a length may be off, in bfloat16 too."""


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """Each input chooses those of its class among all others of its batch, the sharper the lower the `temperature`."""

    temperature: float = 0.1
    better: ClassVar[Better] = {"loss": "smaller", "recall": "larger"}
    together: ClassVar[Literal[True]] = True

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError("temperature: must be positive")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (the same) and `recall` (inputs whose nearest other one is of their class).

        Answers are embeddings of unit length [N, D], targets labels int64 [N]. Means are over inputs that aren't alone
        of their class in the batch; if all are, the loss is 0. Raises SettingsError if they have another length.
        """
        embeddings, labels = network(batch.inputs).float(), batch.targets
        if not bool(((embeddings.detach().square().sum(dim=1) - 1).abs() < ROUNDING).all()):
            raise SettingsError("the network's answers aren't embeddings of length 1, which alone can be compared")
        alone = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        alike = (labels[:, None] == labels[None]) & ~alone
        near = embeddings @ embeddings.T / self.temperature
        near = near.masked_fill(alone, torch.finfo(near.dtype).min)  # infinity would make a batch of one no number
        chosen = torch.log_softmax(near, dim=1).masked_fill(~alike, 0.0).sum(dim=1)  # [N]
        found = alike.sum(dim=1)
        count = int((found > 0).sum())
        loss = -(chosen / found.clamp(min=1)).sum() / max(1, count)
        hits = alike.gather(1, near.argmax(dim=1, keepdim=True)).sum() / max(1, count)
        return Judgement(loss=loss, metrics={"loss": float(loss.detach()), "recall": float(hits)}, count=count)
