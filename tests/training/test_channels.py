"""Channels that can only be cut together: every axis is accounted for, and a cut network computes what it should."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.shapes import CONFIGS, lively, pixels
from training.networks.channels import cut
from training.networks.resnet import ResNet, ResNetConfig, build, channel_groups, multiply_adds, resized

SIDE = 8


@given(config=CONFIGS)
def test_every_axis_is_in_exactly_one_group(config: ResNetConfig) -> None:
    """All axes of all tensors but image channels, classes and kernels are in one group each, which has their size."""
    shapes = {name: tensor.shape for name, tensor in build(config, seed=1).state_dict().items()}
    axes = [(axis, group.width) for group in channel_groups(config) for axis in group.axes]
    assert len(axes) == len({axis for axis, _ in axes})

    loose = {("stem.0.weight", 1), ("head.weight", 0), ("head.bias", 0)}
    expected = {(name, axis) for name, shape in shapes.items() for axis in range(min(2, len(shape)))} - loose
    assert expected == {axis for axis, _ in axes}
    for (name, axis), width in axes:
        assert width == shapes[name][axis]


@given(config=CONFIGS)
def test_every_normalisation_is_the_gate_of_one_group(config: ResNetConfig) -> None:
    """A group's gates are the normalisations whose channels it holds, and each normalisation gates one group."""
    network = build(config, seed=1)
    norms = {name for name, module in network.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    gates = [gate for group in channel_groups(config) for gate in group.gates]
    assert sorted(norms) == sorted(gates)
    for group in channel_groups(config):
        assert {f"{gate}.weight" for gate in group.gates} <= {name for name, _ in group.axes}


@settings(max_examples=40)
@given(config=CONFIGS, seed=st.integers(0, 1000), data=st.data())
def test_a_cut_network_computes_what_the_whole_one_does_with_the_gates_closed(
    config: ResNetConfig, seed: int, data: st.DataObject
) -> None:
    """Whichever channels are cut, of whichever groups: logits are those of the network with them at zero."""
    network = lively(config, seed)
    weights = copy.deepcopy(network.state_dict())
    kept = {
        group.name: torch.tensor(
            sorted(data.draw(st.sets(st.integers(0, group.width - 1), min_size=1, max_size=group.width)))
        )
        for group in channel_groups(config)
    }
    narrower = ResNet(resized(config, {name: len(positions) for name, positions in kept.items()}))
    narrower.load_state_dict(cut(network.state_dict(), channel_groups(config), kept))
    images = pixels(seed, config.channels)
    with torch.inference_mode():
        found = narrower.eval()(images)
        expected = closed(network, kept)(images)
    assert torch.allclose(expected, found, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in weights.items())


@given(config=CONFIGS)
def test_keeping_all_channels_changes_nothing(config: ResNetConfig) -> None:
    """A cut that cuts nothing gives the same tensors, in memory of their own."""
    weights = build(config, seed=1).state_dict()
    kept = {group.name: torch.arange(group.width) for group in channel_groups(config)}
    whole = cut(weights, channel_groups(config), kept)
    assert weights.keys() == whole.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, whole[name])
        assert tensor.data_ptr() != whole[name].data_ptr()


@given(config=CONFIGS, widths=st.lists(st.integers(1, 40), min_size=20, max_size=20))
def test_a_resized_config_has_the_widths_that_were_asked(config: ResNetConfig, widths: list[int]) -> None:
    """Groups take their new widths, and a network of the new config can be built and asked."""
    wanted = {group.name: width for group, width in zip(channel_groups(config), widths, strict=False)}
    smaller = resized(config, wanted)
    assert wanted == {group.name: group.width for group in channel_groups(smaller)}
    with torch.inference_mode():
        assert (2, config.classes) == build(smaller, seed=1).eval()(pixels(1, config.channels, count=2)).shape


@given(config=CONFIGS)
def test_resizing_nothing_is_the_same_network(config: ResNetConfig) -> None:
    """Only what is named changes: shapes and cost stay."""
    same = resized(config, {})
    assert multiply_adds(config, SIDE) == multiply_adds(same, SIDE)
    assert shapes_of(config) == shapes_of(same)


@given(config=CONFIGS, side=st.sampled_from([8, 9, 15, 16]))
def test_multiplications_are_those_that_happen(config: ResNetConfig, side: int) -> None:
    """The count agrees with one taken at every layer while an image passes, also where a side halves unevenly."""
    network, counted = build(config, seed=1).eval(), 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
        counted += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(pixels(1, config.channels, count=1, side=side))
    assert counted == multiply_adds(config, side)


@pytest.mark.parametrize(
    "wrong,text",
    [
        ({"widths": (16, 16), "inner": (16,)}, "inner: is empty, or has one width"),
        ({"widths": (16,), "blocks": 2, "inner": (16,)}, "inner"),
        ({"widths": (16,), "inner": (0,)}, "inner"),
        ({"widths": ()}, "widths, blocks"),
        ({"blocks": 0}, "widths, blocks"),
        ({"deviation": 0.0}, "deviation"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(wrong: dict[str, object], text: str) -> None:
    """A config says what it lacks before a network is built of it."""
    with pytest.raises(ValueError, match=text):
        ResNetConfig(**wrong)  # type: ignore[arg-type]


def shapes_of(config: ResNetConfig) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in build(config, seed=1).state_dict().items()}


def closed(network: ResNet, kept: dict[str, torch.Tensor]) -> ResNet:
    """A copy whose channels that aren't kept come out of their normalisations as zero."""
    copied = copy.deepcopy(network)
    for group in channel_groups(network.config):
        gone = torch.ones(group.width, dtype=torch.bool)
        gone[kept[group.name]] = False
        for gate in group.gates:
            norm = copied.get_submodule(gate)
            assert isinstance(norm, torch.nn.BatchNorm2d)
            with torch.no_grad():
                norm.weight[gone] = 0
                norm.bias[gone] = 0
    return copied
