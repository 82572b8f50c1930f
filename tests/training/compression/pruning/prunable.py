"""Small networks of every kind that can be pruned, and what changes in them when units are cut."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from tests.training.architectures import ARCHITECTURES, texts
from training.compression.pruning.catalogue import resized, units_of
from training.compression.pruning.cost import Ledger, measure
from training.compression.pruning.importance import Importance
from training.compression.pruning.units import Axis, UnitSet, cut, unit_sets
from training.networks.catalogue import build
from training.networks.decoder import DecoderConfig

Ask = Callable[[Any], Any]
DECODER = DecoderConfig(layers=3, width=32, heads=4, cache_heads=2, context=12, vocabulary=40)
IDS = texts()


def _asking(name: str) -> Ask:
    architecture = ARCHITECTURES[name]
    if name.endswith("by steps"):  # with what was before them, whose width is the network's
        windows = architecture.inputs
        return lambda network: network.step(windows, torch.zeros(len(windows), *network.config.state_shape))[0]
    return lambda network: architecture.served(network)(*architecture.asked)


PRUNABLE: Mapping[str, tuple[Any, Ask]] = {
    **{name: (one.config, _asking(name)) for name, one in ARCHITECTURES.items()},
    "decoder": (DECODER, lambda network: network(IDS)),
    "discriminator": (ARCHITECTURES["gan"].config, lambda network: network.discriminator(torch.ones(3, 1, 32, 32))),
    "variational encoder": (
        ARCHITECTURES["variational"].config,
        lambda network: network.encode(ARCHITECTURES["variational"].inputs),
    ),
}


def lively(config: Any, seed: int) -> nn.Module:
    """A network in evaluation mode, no weight of which is 0 or 1, as after training."""
    network = build(config, seed).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith(("running_mean", "bias")):
                tensor.copy_(torch.randn(tensor.shape, generator=random) * 0.3)
            elif name.endswith("running_var") or (tensor.dim() == 1 and tensor.is_floating_point()):
                tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.5)
    return network


def answers(network: nn.Module, ask: Ask) -> tuple[torch.Tensor, ...]:
    with torch.inference_mode():
        found = ask(network)
    return (found,) if isinstance(found, torch.Tensor) else tuple(found)


def ledger_of(network: nn.Module, ask: Ask) -> Ledger:
    return measure(network, units_of(network.config), ask)


def random_importance(config: Any, seed: int) -> Importance:
    random = torch.Generator().manual_seed(seed)
    return {one.name: torch.rand(one.count, generator=random) ** 4 for one in unit_sets(units_of(config))}


def smaller(network: nn.Module, kept: Mapping[str, torch.Tensor], dropped: tuple[str, ...] = ()) -> Any:
    """The network with these units alone; of all sets of the same units as many must be kept."""
    units = units_of(network.config)
    counts = {one.name: len(kept[one.sets[0].name]) if one.sets else int(one.layer not in dropped) for one in units}
    found = build(resized(network.config, counts), seed=0)
    found.load_state_dict(cut(network.state_dict(), units, kept, dropped))
    return found.eval()


def without(
    network: nn.Module, chosen: Mapping[str, torch.Tensor], axes: Callable[[UnitSet], tuple[Axis, ...]]
) -> nn.Module:
    """A copy in which the units that aren't `chosen` have zeros along these `axes`."""
    copied = copy.deepcopy(network)
    weights = copied.state_dict()
    for one in unit_sets(units_of(network.config)):
        gone = torch.ones(one.count, dtype=torch.bool)
        gone[chosen[one.name]] = False
        for axis in axes(one):
            tensor = weights[axis.tensor].movedim(axis.axis, 0)
            with torch.no_grad():
                tensor[axis.places(gone.nonzero().flatten(), one.count)] = 0
    return copied


def over_units(network: nn.Module, one: UnitSet) -> bool:
    """Whether some normalisation is taken over these units, so that each changes what the others come out as."""
    return any(isinstance(network.get_submodule(norm), nn.LayerNorm) for norm in one.norms)
