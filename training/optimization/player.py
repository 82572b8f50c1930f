"""Who learns: the whole network at once, or its parts in turns, each by an optimizer of its own."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from training.optimization.settings import FitSettings

SQUARES = 0.999
"""The decay of squared gradients, on which little depends."""


class Player:
    """What learns in one turn of every step: `part` of a network. Owns its optimizer."""

    def __init__(self, part: nn.Module, settings: FitSettings) -> None:
        self._weights = [weights for weights in part.parameters() if weights.requires_grad]
        self._clip = settings.clip
        self._optimizer = _optimizer(self._weights, settings)

    def begin(self) -> None:
        """Forget the gradient, also what other turns left."""
        self._optimizer.zero_grad(set_to_none=True)

    def fade(self, share: float) -> None:
        """Keep that share of the gradient, before more of it comes."""
        for weights in self._weights:
            if weights.grad is not None:
                weights.grad.mul_(share)

    def step(self, rate: float) -> float:
        """Change the weights by their gradient at the learning rate `rate`; its norm, before it was clipped."""
        norm = nn.utils.get_total_norm([one.grad for one in self._weights if one.grad is not None])
        if self._clip:
            nn.utils.clip_grads_with_norm_(self._weights, self._clip, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        return float(norm)

    def moments(self) -> dict[str, torch.Tensor]:
        """What the optimizer remembers, by the number of a weight and a name: `3.exp_avg`."""
        state = self._optimizer.state_dict()["state"]
        return {f"{index}.{name}": value for index, moments in state.items() for name, value in moments.items()}

    def restore(self, moments: Mapping[str, torch.Tensor]) -> None:
        """Go on from `moments`. Raises KeyError, TypeError or ValueError if they aren't of such an optimizer."""
        state: dict[str, Any] = self._optimizer.state_dict()
        weights = dict(enumerate(one for group in self._optimizer.param_groups for one in group["params"]))
        for name, value in moments.items():
            index, moment = name.split(".", 1)
            weight = weights[int(index)]
            # In memory as its weight lies there: the fused optimizer goes through both without looking at strides.
            placed = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
            state["state"].setdefault(int(index), {})[moment] = placed
        self._optimizer.load_state_dict(state)


def _optimizer(weights: list[nn.Parameter], settings: FitSettings) -> torch.optim.Optimizer:
    """Biases and normalisations, which are vectors, don't decay: a scale that shrinks is only made up for elsewhere."""
    groups: list[dict[str, Any]] = [
        {"params": [one for one in weights if one.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in weights if one.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    momentum = settings.momentum
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(momentum, SQUARES), fused=True)
