"""Variational reconstruction: an image is wanted back, and codes that together look like noise.

Sources: D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014, arXiv 1312.6114; the weight of the divergence,
I. Higgins et al., "beta-VAE", ICLR 2017.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from training.data.batches import Batch
from training.tasks.reconstruction import cross_entropy
from training.tasks.task import Better, Judgement


@dataclass(frozen=True, kw_only=True)
class Variational:
    """The negative evidence lower bound, with `beta` times the divergence; targets aren't looked at."""

    beta: float = 1.0
    better: ClassVar[Better] = {"loss": "smaller", "reconstruction": "smaller", "divergence": "smaller"}

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise ValueError("beta: must not be below 0")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss; metrics `loss` (the same), `reconstruction` and `divergence`, each in nats, the mean over images.

        Inputs are pixels uint8 [N, C, H, W]. Of them, and of noise [N, code], the network makes pixels, means and
        logarithms of variances, as `training.networks.variational` does.
        """
        config: Any = network.config
        noise = torch.randn((len(batch.inputs), config.code), device=batch.inputs.device)
        found, mean, log_variance = network(batch.inputs, noise)
        rebuilt = cross_entropy(found, batch.inputs.float() / 255.0).flatten(1).sum(dim=1).mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        loss = rebuilt + self.beta * divergence
        parts = {"loss": loss, "reconstruction": rebuilt, "divergence": divergence}
        return Judgement(loss=loss, metrics={name: float(value.detach()) for name, value in parts.items()})
