"""Structured pruning: the channels that matter least are cut out, and the network is built anew, narrower.

Which channels matter is estimated by a first-order Taylor expansion of the loss; how many each group loses is decided
greedily, by the importance lost for each multiplication saved. Widths stay multiples of 16.

Source: P. Molchanov et al., "Importance Estimation for Neural Network Pruning", CVPR 2019.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from training.data.batches import Batch
from training.fit import FitSettings
from training.networks.channels import STEP, cut
from training.networks.resnet import ResNet, ResNetConfig, channel_groups, multiply_adds, resized
from training.tasks.task import Task

BATCH = 16
"""Images a gradient is taken over: over many, what single images need cancels out."""


@dataclass(frozen=True, kw_only=True)
class PruneSettings:
    """How far to prune, and how gradually.

    `keep` is the share of multiplications left at the end; it is approached in `rounds` of equal ratio, and after each
    the network learns again by `fit`. No width falls below `narrowest`. Importance is estimated on `samples` training
    images.
    """

    keep: float
    rounds: int
    fit: FitSettings
    narrowest: int = STEP
    samples: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1 or self.rounds < 1 or self.samples < 1:
            raise ValueError("keep, rounds, samples: keep is a share below 1, the others are at least 1")
        if self.narrowest < STEP or self.narrowest % STEP:
            raise ValueError(f"narrowest: must be a multiple of {STEP}")

    def target(self, number: int) -> float:
        """The share of multiplications that is left after round `number`, counted from 0."""
        return float(self.keep ** ((number + 1) / self.rounds))


Importance = Mapping[str, torch.Tensor]
"""Group -> what the loss would rise by without each of its channels, estimated, float32 [width]."""


def prune(network: ResNet, importance: Importance, *, limit: int, side: int, narrowest: int = STEP) -> ResNet:
    """A narrower network whose image of `side` x `side` pixels takes at most `limit` multiplications.

    Its weights are those of the kept channels. If even the narrowest network takes more, that one is returned.
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
    times the opening, is summed over the gates of its group, and averaged over batches.
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
    config: ResNetConfig, importance: Importance, *, limit: int, side: int, narrowest: int = STEP
) -> ResNetConfig:
    """The config after cutting, step by step, where the least importance is lost for each multiplication saved."""
    ranked = {name: torch.sort(values).values.cumsum(0) for name, values in importance.items()}
    full = {group.name: group.width for group in channel_groups(config)}
    cost = multiply_adds(config, side)
    while cost > limit:
        offers = []
        for group in channel_groups(config):
            width = (group.width - 1) // STEP * STEP
            if width < narrowest:
                continue
            offer = resized(config, {group.name: width})
            lost = _lost(ranked[group.name], full[group.name] - width)
            lost -= _lost(ranked[group.name], full[group.name] - group.width)
            offers.append((lost / (cost - multiply_adds(offer, side)), group.name, offer))
        if not offers:
            break
        config = min(offers, key=lambda offer: offer[:2])[2]
        cost = multiply_adds(config, side)
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
