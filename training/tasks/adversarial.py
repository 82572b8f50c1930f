"""Adversarial generation: a generator makes images that a discriminator shall take for real ones.

Sources: I. Goodfellow et al., "Generative Adversarial Nets", 2014, arXiv 1406.2661, with the generator's loss that
doesn't saturate; one-sided smoothing, T. Salimans et al., "Improved Techniques for Training GANs", 2016.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.task import Better, Judgement

DISCRIMINATOR, GENERATOR = "discriminator", "generator"


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """In every step the discriminator learns first; targets aren't looked at.

    `smoothing` is what real images lack of being wholly real, which keeps the discriminator from being too sure.
    """

    smoothing: float = 0.0
    better: ClassVar[Better] = {"loss": "smaller", "discriminator": "smaller", "generator": "smaller"}
    turns: ClassVar[tuple[str, ...]] = (DISCRIMINATOR, GENERATOR)

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 0.5:
            raise ValueError("smoothing: must be at least 0 and below a half")

    def judge(self, turn: str, network: nn.Module, batch: Batch) -> Judgement:
        """The loss of the discriminator or of the generator, in nats an image, which is also its metric `loss`.

        Inputs are pixels uint8 [N, C, H, W]. `network.generator` makes shares of 255 of noise [N, code], of which
        `network.discriminator` makes logits [N], as in `training.networks.gan`.
        """
        config: Any = network.config
        makes, tells = network.get_submodule(GENERATOR), network.get_submodule(DISCRIMINATOR)
        noise = torch.randn((len(batch.inputs), config.code), device=batch.inputs.device)
        if turn == GENERATOR:
            loss = functional.softplus(-tells(makes(noise))).mean()
        else:
            with torch.no_grad():
                made = makes(noise)
            real = tells(batch.inputs.float() / 255.0)
            wanted = torch.full_like(real, 1 - self.smoothing)
            loss = functional.binary_cross_entropy_with_logits(real, wanted) + functional.softplus(tells(made)).mean()
        return Judgement(loss=loss, metrics={"loss": float(loss.detach())})

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """Both losses, added up; metrics `loss` (the same), `discriminator` and `generator`.

        None of them says how good the images are: the two are measured by each other.
        """
        losses = {turn: self.judge(turn, network, batch).loss for turn in self.turns}
        loss = torch.stack(list(losses.values())).sum()
        parts = {"loss": loss, **losses}
        return Judgement(loss=loss, metrics={name: float(value.detach()) for name, value in parts.items()})
