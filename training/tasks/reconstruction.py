"""Reconstruction: an image is wanted back, after a code that is too narrow for just any image.

Source of what noise is good for: P. Vincent et al., "Extracting and Composing Robust Features with Denoising
Autoencoders", ICML 2008.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.data.transforms.transform import typed
from training.tasks.task import Better, Judgement


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """The `squared` error of a pixel, or its `cross_entropy` as if it were a probability; targets aren't looked at.

    The network sees images through normal `noise`, a share of 255, and they are wanted back without it.
    """

    error: Literal["squared", "cross_entropy"] = "squared"
    noise: float = 0.0
    better: ClassVar[Better] = {"loss": "smaller", "squared": "smaller"}

    def __post_init__(self) -> None:
        if self.noise < 0:
            raise ValueError("noise: must not be below 0")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and metrics `loss` (the same) and `squared` (the squared error), each the mean over pixels.

        Inputs are pixels uint8 [N, C, H, W], answers float32 of the same shape, shares of 255.
        """
        found, wanted = network(self._seen(batch.inputs)), batch.inputs.float() / 255.0
        squared = functional.mse_loss(found, wanted)
        loss = squared if self.error == "squared" else cross_entropy(found, wanted).mean()
        metrics = {"loss": float(loss.detach()), "squared": float(squared.detach())}
        return Judgement(loss=loss, metrics=metrics)

    def _seen(self, images: torch.Tensor) -> torch.Tensor:
        if not self.noise:
            return images
        pixels = images.float()
        return typed(pixels + torch.randn_like(pixels) * (self.noise * 255.0), images)


def cross_entropy(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Of each share `found` with the share `wanted`, in nats; both of any one shape, in [0, 1]."""
    # Its logarithms lie too far apart for bfloat16.
    with torch.autocast(found.device.type, enabled=False):
        return functional.binary_cross_entropy(found.float(), wanted, reduction="none")
