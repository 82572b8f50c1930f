"""Classification: every input has exactly one label."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from service.errors import SettingsError
from training.data.batches import Batch
from training.data.split import Labels
from training.tasks.task import LOSS, Better, Judgement


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Cross entropy, with `label_smoothing` of the mass spread over all classes while training.

    `class_weights`, one for each class, say how much an input of that class counts, also for validation's loss; empty
    means alike. Targets are labels int64 [N], or shares of the classes float32 [N, classes], as mixup makes them.
    """

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] = ()
    better: ClassVar[Better] = {"loss": "smaller", "accuracy": "larger"}

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ValueError("label_smoothing: must be at least 0 and below 1")
        if self.class_weights and (min(self.class_weights) < 0 or not any(self.class_weights)):
            raise ValueError("class_weights: must not be below 0, and not all of them 0")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (unsmoothed cross entropy, in nats) and `accuracy` (share of the batch)."""
        logits, targets = network(batch.inputs), batch.targets
        metrics = label_metrics(logits.detach(), targets)
        if not self.class_weights:
            loss = functional.cross_entropy(logits, targets, label_smoothing=self.label_smoothing)
            return Judgement(loss=loss, metrics=metrics)
        weights = self._weights(logits)
        loss, weight = weighted_cross_entropy(logits, targets, weights, label_smoothing=self.label_smoothing)
        unsmoothed, _ = weighted_cross_entropy(logits.detach(), targets, weights)
        return Judgement(loss=loss, metrics={**metrics, LOSS: float(unsmoothed)}, weight=weight)

    def _weights(self, logits: torch.Tensor) -> torch.Tensor:
        if len(self.class_weights) != logits.shape[1]:
            raise SettingsError(f"class_weights: there are {len(self.class_weights)}, for {logits.shape[1]} classes")
        return torch.tensor(self.class_weights, device=logits.device)


def balanced(labels: Labels, classes: int) -> tuple[float, ...]:
    """Weights by which each of `classes` counts for as much as any other among `labels`, on average 1 a label.

    A class without labels has weight 0. Source: G. King, L. Zeng, "Logistic Regression in Rare Events Data", 2001.
    """
    counts = np.bincount(labels, minlength=classes)
    there = int(np.count_nonzero(counts))
    return tuple(len(labels) / (there * count) if count else 0.0 for count in counts.tolist())


def weighted_cross_entropy(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, *, label_smoothing: float = 0.0
) -> tuple[torch.Tensor, float]:
    """The mean cross entropy of `logits` [N, classes], each label weighted by its class, and the sum of these weights.

    `targets` are as in `Classification`, `weights` float32 [classes]. Torch's own weighs every class that smoothing
    gives a share by that class's weight, so that a network would do best to answer the rarest one.
    """
    classes = logits.shape[1]
    mass = _mass(targets, weights)
    rows = mass.sum(dim=1, keepdim=True)  # [N, 1]
    wanted = (1 - label_smoothing) * mass + label_smoothing / classes * rows
    weight = float(rows.sum())
    return -(wanted * functional.log_softmax(logits, dim=1)).sum() / (weight or 1.0), weight


def label_weights(targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """How much each of `targets` counts by the `weights` of their classes, both as in `weighted_cross_entropy`: [N]."""
    return _mass(targets, weights).sum(dim=1)


def label_metrics(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """`loss` (cross entropy, in nats) and `accuracy` of `logits` [N, classes].

    `targets` are labels int64 [N], or shares of the classes float32 [N, classes], of which the largest is the label.
    """
    labels = targets.argmax(dim=1) if targets.is_floating_point() else targets
    hits = (logits.argmax(dim=1) == labels).float().mean()
    return {"loss": float(functional.cross_entropy(logits, targets)), "accuracy": float(hits)}


def _mass(targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weight of each class in each target, [N, classes]."""
    shares = targets if targets.is_floating_point() else functional.one_hot(targets, len(weights))
    return shares * weights
