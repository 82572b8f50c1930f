"""What each unit of a network is worth, estimated.

By the loss: a first-order Taylor expansion says what it would rise by without the unit (P. Molchanov et al.,
"Importance Estimation for Neural Network Pruning", CVPR 2019). By the weights alone, where there is no loss to ask:
the magnitude of what makes a unit (H. Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017, there L1), or
the norm of all weights that would go with it (G. Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

from training.compression.pruning.catalogue import units_of
from training.compression.pruning.units import Axis, UnitSet, check_weights, norm_axes, unit_sets
from training.data.batches import Batch
from training.seeding import seeded
from training.tasks.task import Task

Measure = Literal["taylor", "magnitude", "group_norm"]
Importance = Mapping[str, torch.Tensor]
"""Set of units -> what the loss would rise by without each of them, estimated, float32 [count]."""

BATCH = 16
"""Inputs a gradient is taken over: over many, what single inputs need cancels out."""
WHOLE = 1e-12
"""Below this a mean of norms is none: all weights are zero."""


def estimate(network: nn.Module, measure: Measure, *, task: Task, batches: Callable[[], Iterable[Batch]]) -> Importance:
    """What each unit is worth by this `measure`; `batches` are drawn, and the `task` is set, only for one that asks."""
    if measure == "taylor":
        return taylor(network, task, batches())
    return magnitude(network) if measure == "magnitude" else group_norm(network)


def taylor(network: nn.Module, task: Task, batches: Iterable[Batch]) -> Importance:
    """How much the loss of `task` depends on each unit, over all `batches`; the network is left as it was.

    The task must have targets: where the network is its own teacher, nothing seems to matter.

    A unit has gates: the normalisations that it passes through, or, where there is none, all that reads it. The square
    of the gradient by a gate's opening, times the opening, is summed over the gates of a set and over batches.
    """
    network.eval()  # running statistics stay as they are
    sets = unit_sets(units_of(network.config))
    weights = dict(network.named_parameters())
    check_weights(weights, units_of(network.config))
    sums = {one.name: torch.zeros(one.count) for one in sets}
    with seeded(0):  # what a task draws by chance, as noise, is the same every time
        for batch in batches:
            network.zero_grad(set_to_none=True)
            task(network, batch).loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            for one in sets:
                sums[one.name] += sum(_sensitivity(weights, gate, one.count) for gate in _gates(one, weights))
    network.zero_grad(set_to_none=True)
    return sums


def magnitude(network: nn.Module) -> Importance:
    """The L2 norm of the weights that make each unit, the mean over its tensors, in shares of its set's mean."""
    return _by_norms(network, lambda one: [(axis,) for axis in one.made])


def group_norm(network: nn.Module) -> Importance:
    """The L2 norm of all weights that would go with each unit, in shares of its set's mean."""
    return _by_norms(network, lambda one: [tuple(one.axes(dict(network.named_parameters())))])


def _by_norms(network: nn.Module, parts: Any) -> Importance:
    """By the mean over `parts` of a set, each of which has axes whose weights are taken together."""
    weights = {name: tensor.detach() for name, tensor in network.named_parameters()}
    check_weights(weights, units_of(network.config))
    found = {}
    for one in unit_sets(units_of(network.config)):
        norms = torch.stack([_norm(weights, part, one.count) for part in parts(one)]).mean(0)
        found[one.name] = norms / norms.mean().clamp(min=WHOLE)
    return found


def _norm(weights: Mapping[str, torch.Tensor], axes: Sequence[Axis], count: int) -> torch.Tensor:
    squares = [axis.by_unit(weights[axis.tensor], count).square().sum(1) for axis in axes]
    return torch.stack(squares).sum(0).sqrt()


def _gates(one: UnitSet, weights: Mapping[str, nn.Parameter]) -> tuple[tuple[Axis, ...], ...]:
    """The axes of each gate: scale and shift of a normalisation, or the weights of all that reads the units."""
    if one.norms:
        return tuple(tuple(axis for axis in norm_axes(norm) if axis.tensor in weights) for norm in one.norms)
    return (one.read,)


def _sensitivity(weights: Mapping[str, nn.Parameter], gate: Sequence[Axis], count: int) -> torch.Tensor:
    """The square of gradient times opening of a gate, per unit: [count]. What no gradient reached has none."""
    slopes = torch.zeros(count)
    for axis in gate:
        parameter = weights[axis.tensor]
        if parameter.grad is not None:
            slopes += axis.by_unit(parameter.detach() * parameter.grad, count).sum(1)
    return slopes.square()
