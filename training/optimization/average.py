"""An exponential moving average of a network's weights, which is steadier than the weights of any one step.

Sources: B. Polyak, A. Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; that the decay begins
small, so that the first weights are soon forgotten, as in TensorFlow's ExponentialMovingAverage.
"""

import copy
from collections.abc import Iterator

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Owns `network`, a copy whose weights and running statistics are the averages; what isn't a fraction is copied."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(requires_grad=False).eval()
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights of `network` after `step`, counted from 0."""
        decay = min(self._decay, (1 + step) / (10 + step))
        # By parameters and buffers, not by names: tied weights have two, and must move once.
        pairs = list(zip(_numbers(self.network), _numbers(network), strict=True))
        fractions = [pair for pair in pairs if pair[0].is_floating_point()]
        move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call] # torch leaves it untyped
        move([average for average, _ in fractions], [now for _, now in fractions], step)
        for average, now in pairs:
            if not average.is_floating_point():
                average.copy_(now)


def _numbers(network: nn.Module) -> Iterator[torch.Tensor]:
    yield from network.parameters()
    yield from network.buffers()
