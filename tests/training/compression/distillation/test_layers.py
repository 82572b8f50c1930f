"""Layers: which a network has, in which order, and which of a teacher's stand for a student's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from service.errors import SettingsError
from tests.training.compression.distillation.kinds import KINDS, LENGTH, ROWS
from training.compression.distillation.layers import by_depth, check_layers, layers_of, put_out, spread
from training.networks.catalogue import build
from training.networks.gan import GANConfig
from training.networks.mlp import MLPConfig
from training.networks.resnet import ResNetConfig

EXPECTED = {
    "images": ("stages.0", "stages.1", "stages.2", "stages.3"),
    "weighted": ("stages.0", "stages.1", "stages.2", "stages.3"),
    "rows": ("hidden.2", "hidden.6"),
    "texts": ("layers.0", "layers.1", "layers.2", "layers.3"),
    "tokens": ("layers.0", "layers.1", "layers.2", "layers.3"),
    "read tags": ("cells",),
    "boxes": ("stages.0", "stages.1"),
    "masks": ("inwards.0", "inwards.1", "outwards.0"),
    "rebuilt": ("encoder.1", "encoder.3", "decoder.2", "decoder.5", "decoder.8"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_layers_are_told_in_order(name: str) -> None:
    """In that of computing; nothing of the network is changed by asking."""
    kind = KINDS[name]
    network = build(kind.teacher, 1).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert EXPECTED[name] == layers_of(network, kind.split.inputs[:2])
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_texts_that_were_packed_are_told_each_by_itself() -> None:
    """What a recurrent network's cells put out is [N, T, W], also of texts of different lengths."""
    kind = KINDS["read tags"]
    seen = put_out(build(kind.teacher, 1), ["cells"], kind.split.inputs)
    assert (ROWS, LENGTH, 64) == tuple(seen["cells"].shape)


def test_layers_are_matched_by_depth() -> None:
    """The last ones always stand for each other."""
    assert {"a": "1", "b": "3"} == by_depth("ab", "0123")
    assert {"a": "1", "b": "2"} == by_depth("ab", "012")
    assert {"a": "0", "b": "0", "c": "1", "d": "1"} == by_depth("abcd", "01")


@given(few=st.integers(1, 40), many=st.integers(1, 40))
def test_places_are_spread_evenly(few: int, many: int) -> None:
    """They ascend, end at the end, and their steps differ by at most one."""
    places = spread(few, many)
    steps = np.diff((-1, *places))
    assert many - 1 == places[-1]
    assert steps.max() - steps.min() <= 1
    assert min(places) >= 0


def test_a_layer_that_is_not_there_is_refused() -> None:
    """The nearest is named, or where nothing is near, what the network is made of."""
    network = build(ResNetConfig(widths=(16,)), 1)
    with pytest.raises(SettingsError, match=r"the student has no layer `stage.0`, did you mean `stages.0`\?"):
        check_layers(network, ["stages.0", "stage.0"], "student")
    with pytest.raises(SettingsError, match="the teacher has no layer `qqqq`; there are stem, stages, head"):
        check_layers(network, ["qqqq"], "teacher")


def test_a_network_that_tells_no_layers_is_refused() -> None:
    """Its layers have to be named."""
    inputs = np.zeros((2, 6), dtype=np.float32)
    with pytest.raises(SettingsError, match="a network of kind gan doesn't tell its layers; name them in `layers`"):
        layers_of(build(GANConfig(), 1), inputs)
    with pytest.raises(SettingsError, match="a network of kind Linear doesn't tell its layers; name them in `layers`"):
        layers_of(nn.Linear(6, 2), inputs)
    with pytest.raises(SettingsError, match="this network of kind mlp has no layer between its inputs and its answer"):
        layers_of(build(MLPConfig(widths=(), features=6), 1), inputs)
