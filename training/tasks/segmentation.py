"""Segmentation: every pixel has a class.

Source of the Dice loss: F. Milletari et al., "V-Net", 2016, arXiv 1606.04797.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.task import Better, Judgement

SMOOTH = 1.0
"""Pixels that are added to what overlaps and what could, so that a class that isn't there is no division by zero."""


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Cross entropy of all pixels, and Dice of all classes by the share `dice`, to which small classes count alike."""

    dice: float = 0.5
    better: ClassVar[Better] = {"loss": "smaller", "accuracy": "larger"}

    def __post_init__(self) -> None:
        if not 0 <= self.dice <= 1:
            raise ValueError("dice: must be a share")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (cross entropy, in nats a pixel) and `accuracy` (share of the pixels).

        Answers are logits [N, classes, H, W], targets masks int64 [N, H, W].
        """
        logits, masks = network(batch.inputs), batch.targets
        entropy = functional.cross_entropy(logits, masks)
        loss = (1 - self.dice) * entropy + self.dice * dice_loss(logits, masks)
        hits = (logits.argmax(dim=1) == masks).float().mean()
        return Judgement(loss=loss, metrics={"loss": float(entropy.detach()), "accuracy": float(hits)})


def dice_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """One less the mean over classes of how far `logits` [N, classes, H, W] overlap with `masks` int64 [N, H, W]."""
    shares = torch.softmax(logits.float(), dim=1)
    classes, labels = logits.shape[1], masks.flatten()
    right = shares.gather(1, masks[:, None]).flatten()  # of each pixel, the share of its own class
    both = torch.zeros(classes, device=logits.device).index_add(0, labels, right)
    either = shares.sum(dim=(0, 2, 3)) + torch.bincount(labels, minlength=classes)
    return 1 - ((2 * both + SMOOTH) / (either + SMOOTH)).mean()
