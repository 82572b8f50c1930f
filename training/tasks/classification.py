"""Classification: every image has exactly one label."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.task import Judgement


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross entropy, with `label_smoothing` of the mass spread over all classes while training."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError("label_smoothing: must be at least 0 and below 1")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (unsmoothed, in nats) and `accuracy` (share of the batch)."""
        logits = network(batch.images)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
        return Judgement(loss=loss, metrics=label_metrics(logits.detach(), batch.labels))


def label_metrics(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """`loss` (cross entropy, in nats) and `accuracy` of `logits` [N, classes] against `labels` int64 [N]."""
    hits = (logits.argmax(dim=1) == labels).float().mean()
    return {"loss": float(functional.cross_entropy(logits, labels)), "accuracy": float(hits)}
