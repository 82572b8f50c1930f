"""What is tied to what, beside a library that finds it out by tracing: the same channels kept, the same answers."""

import copy
from typing import Any

import pytest
import torch
import torch_pruning
from torch import nn

from tests.training.compression.pruning.prunable import PRUNABLE, answers, lively, smaller
from training.compression.pruning.catalogue import units_of
from training.compression.pruning.units import UnitSet, unit_sets
from training.networks.resnet import ResNetConfig

PICTURES = PRUNABLE["depthwise"][1]
RESNETS = {
    "resnet": (ResNetConfig(widths=(16, 16, 24), blocks=2, inner=(8, 16, 16, 8, 24, 16)), PICTURES),
    "resnet that widens at once": (ResNetConfig(widths=(12, 20)), PICTURES),
}
IMAGES = {
    **RESNETS,
    **{name: PRUNABLE[name] for name in ("resnet that embeds", "depthwise", "unet", "detector", "autoencoder")},
}
UNSEEN = ("unfolded",)
"""Numbers that a linear layer makes and that then become channels: the library doesn't follow them."""


@pytest.mark.parametrize("config, ask", IMAGES.values(), ids=IMAGES)
def test_the_same_channels_give_the_same_answers(config: Any, ask: Any) -> None:
    """Set by set half of the channels go, by the library's surgery and by our config: answers are equal."""
    network = lively(config, 1)
    random = torch.Generator().manual_seed(1)
    theirs = copy.deepcopy(network)
    kept = {}
    for units in units_of(config):
        for one in units.sets:
            count = one.count if any(each.name in UNSEEN for each in units.sets) else one.count // 2
            kept[one.name] = torch.randperm(one.count, generator=random)[:count].sort().values
    for one in unit_sets(units_of(config)):
        gone = sorted(set(range(one.count)) - set(kept[one.name].tolist()))
        if gone:
            _prune(theirs, one, gone, ask)
    ours = smaller(network, kept)
    assert {name: tensor.shape for name, tensor in theirs.state_dict().items()} == {
        name: tensor.shape for name, tensor in ours.state_dict().items()
    }
    for expected, found in zip(answers(theirs, ask), answers(ours, ask), strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


def _prune(network: nn.Module, one: UnitSet, gone: list[int], ask: Any) -> None:
    """Cut these units and all that the library finds tied to them; it must find what we say is tied."""
    graph = torch_pruning.DependencyGraph()
    graph.build_dependency(network, example_inputs=torch.zeros(1), forward_fn=lambda whole, _: ask(whole))
    root = network.get_submodule(one.made[0].tensor.rpartition(".")[0])
    prune = (
        torch_pruning.prune_conv_out_channels
        if isinstance(root, nn.Conv2d)
        else torch_pruning.prune_linear_out_channels
    )
    group = graph.get_pruning_group(root, prune, idxs=gone)
    names = {module: name for name, module in network.named_modules()}
    tied = {names[item.dep.target.module] for item in group if item.dep.target.module in names}
    assert tied == {axis.tensor.rpartition(".")[0] for axis in one.axes(network.state_dict())}
    group.prune()
