"""Structured pruning: the channels that matter least are cut out, and the network is built anew, narrower.

Which channels matter is estimated by a first-order Taylor expansion of the loss; how many each group loses is decided
greedily, by the importance lost for what is saved. Widths stay multiples of 16.

Source: P. Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from training.data.batches import Batch
from training.networks.channels import STEP, cut
from training.networks.resnet import ResNet, ResNetConfig, channel_groups, multiply_adds, parameters, resized
from training.optimization.settings import FitSettings
from training.tasks.task import Task

BATCH = 16
"""Images a gradient is taken over: over many, what single images need cancels out."""


@dataclass(frozen=True, kw_only=True)
class PruneSettings:
    """How far to prune, and how gradually.

    `keep` is the share of multiplications left at the end, `keep_parameters` that of weights; both are approached in
    `rounds` of equal ratio, and after each the network learns again by `fit`. No width falls below `narrowest`.
    Importance is estimated on `samples` training images.
    """

    keep: float
    rounds: int
    fit: FitSettings
    keep_parameters: float = 1.0
    narrowest: int = STEP
    samples: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1 or not 0 < self.keep_parameters <= 1:
            raise ValueError("keep, keep_parameters: must be shares, the first below 1")
        if min(self.rounds, self.samples) < 1:
            raise ValueError("rounds, samples: must be at least 1")
        if self.narrowest < STEP or self.narrowest % STEP:
            raise ValueError(f"narrowest: must be a multiple of {STEP}")

    def limit(self, whole: "Cost", number: int) -> "Cost":
        """What may be left of `whole` after round `number`, counted from 0."""
        done = (number + 1) / self.rounds
        return Cost(
            multiply_adds=round(whole.multiply_adds * self.keep**done),
            parameters=round(whole.parameters * self.keep_parameters**done),
        )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network takes: multiplications (each with its addition) for one image, and weights."""

    multiply_adds: int
    parameters: int

    def __str__(self) -> str:
        return f"{self.multiply_adds:,} multiplications and {self.parameters:,} weights"

    def fits(self, limit: "Cost") -> bool:
        """True when neither measure is beyond the limit."""
        return self.multiply_adds <= limit.multiply_adds and self.parameters <= limit.parameters

    def saving(self, offer: "Cost", limit: "Cost") -> float:
        """What `offer` saves, in shares of the limit, added up over the measures that are beyond it now."""
        pairs = (
            (self.multiply_adds, offer.multiply_adds, limit.multiply_adds),
            (self.parameters, offer.parameters, limit.parameters),
        )
        return sum((now - then) / most for now, then, most in pairs if now > most)


def cost(config: ResNetConfig, side: int) -> Cost:
    """The cost of a network for images of `side` x `side` pixels."""
    return Cost(multiply_adds=multiply_adds(config, side), parameters=parameters(config))


Importance = Mapping[str, torch.Tensor]
"""Group -> what the loss would rise by without each of its channels, estimated, float32 [width]."""


def prune(network: ResNet, importance: Importance, *, limit: Cost, side: int, narrowest: int = STEP) -> ResNet:
    """A narrower network that costs at most `limit` for an image of `side` x `side` pixels.

    Its weights are those of the kept channels. If even the narrowest network costs more, that one is returned.
    """
    groups = channel_groups(network.config)
    config = narrow(network.config, importance, limit=limit, side=side, narrowest=narrowest)
    widths = {group.name: group.width for group in channel_groups(config)}
    kept = {group.name: _most_important(importance[group.name], widths[group.name]) for group in groups}
    narrower = ResNet(config)
    narrower.load_state_dict(cut(network.state_dict(), groups, kept))
    return narrower.eval()


def estimate(network: ResNet, task: Task, batches: Iterable[Batch]) -> Importance:
    """How much the loss of `task` depends on each channel, over all `batches`; the network is left as it was.

    The task must have labels: where the network is its own teacher, nothing seems to matter.

    A channel's gates are the normalisations that it passes through: the square of the gradient by a gate's opening,
    times the opening, is summed over the gates of its group and over batches.
    """
    network.eval()  # running statistics stay as they are
    groups = channel_groups(network.config)
    sums = {group.name: torch.zeros(group.width) for group in groups}
    for batch in batches:
        network.zero_grad(set_to_none=True)
        task(network, batch).loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        for group in groups:
            sums[group.name] += torch.stack([_sensitivity(network.get_submodule(gate)) for gate in group.gates]).sum(0)
    network.zero_grad(set_to_none=True)
    return sums


def narrow(
    config: ResNetConfig, importance: Importance, *, limit: Cost, side: int, narrowest: int = STEP
) -> ResNetConfig:
    """The config after cutting, step by step, where the least importance is lost for what is saved of the excess."""
    ranked = {name: torch.sort(values).values.cumsum(0) for name, values in importance.items()}
    full = {group.name: group.width for group in channel_groups(config)}
    while not (now := cost(config, side)).fits(limit):
        offers = []
        for group in channel_groups(config):
            width = (group.width - 1) // STEP * STEP
            if width < narrowest:
                continue
            offer = resized(config, {group.name: width})
            lost = _lost(ranked[group.name], full[group.name] - width)
            lost -= _lost(ranked[group.name], full[group.name] - group.width)
            offers.append((lost / now.saving(cost(offer, side), limit), group.name, offer))
        if not offers:
            break
        config = min(offers, key=lambda offer: offer[:2])[2]
    return config


def _lost(ranked: torch.Tensor, count: int) -> float:
    """The importance of the `count` least important channels."""
    return float(ranked[count - 1]) if count else 0.0


def _most_important(importance: torch.Tensor, width: int) -> torch.Tensor:
    """The positions of the `width` most important channels, ascending."""
    return torch.sort(torch.topk(importance, width).indices).values


def _sensitivity(gate: nn.Module) -> torch.Tensor:
    """The square of gradient times opening of a normalisation, per channel: [width]."""
    scale, shift = gate.weight, gate.bias
    assert isinstance(scale, nn.Parameter)
    assert isinstance(shift, nn.Parameter)
    assert scale.grad is not None
    assert shift.grad is not None
    return (scale.detach() * scale.grad + shift.detach() * shift.grad).square()
