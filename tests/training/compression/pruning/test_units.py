"""Units of every kind of network: each axis is accounted for, and a cut network computes what it should."""

import json
from dataclasses import asdict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from service.errors import ArtifactError, SettingsError
from tests.training.compression.pruning.prunable import (
    DECODER,
    IDS,
    PRUNABLE,
    Ask,
    answers,
    lively,
    over_units,
    smaller,
    without,
)
from training.compression.pruning.catalogue import resized, units_of
from training.compression.pruning.units import Axis, Units, UnitSet, cut, norm_axes, unit_sets
from training.networks.catalogue import KINDS, build, config_of, kind_of
from training.networks.custom import CustomConfig
from training.networks.decoder import DecoderConfig
from training.networks.encoder import EncoderConfig
from training.networks.gan import GANConfig
from training.networks.mlp import MLPConfig
from training.networks.resnet import ResNetConfig

each_network = pytest.mark.parametrize("config, ask", PRUNABLE.values(), ids=PRUNABLE)


def kept_of(config: Any, seed: int, *, but: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """Some units of each set, as many in sets of the same units; of those named, all."""
    random = torch.Generator().manual_seed(seed)
    kept = {}
    for units in units_of(config):
        if not units.sets:
            continue
        least = max(one.protected for one in units.sets)
        count = int(torch.randint(max(1, least), units.count + 1, (1,), generator=random))
        for one in units.sets:
            free = one.protected + torch.randperm(one.count - one.protected, generator=random)
            chosen = torch.cat([torch.arange(one.protected), free])[: one.count if units.name in but else count]
            kept[one.name] = chosen.sort().values
    return kept


@each_network
def test_every_place_is_in_at_most_one_set(config: Any, ask: Ask) -> None:
    """Along no axis of a tensor do two sets have the same place, and all of a set lie within the tensor."""
    weights = build(config, seed=1).state_dict()
    seen: dict[tuple[str, int], list[int]] = {}
    for one in unit_sets(units_of(config)):
        for axis in one.axes(weights):
            places = axis.places(torch.arange(one.count), one.count)
            assert places.max() < weights[axis.tensor].shape[axis.axis]
            assert axis.by_unit(weights[axis.tensor], one.count).shape[0] == one.count
            seen.setdefault((axis.tensor, axis.axis), []).extend(places.tolist())
    for places_of_axis in seen.values():
        assert len(places_of_axis) == len(set(places_of_axis))


@each_network
def test_what_no_set_has_is_what_goes_in_and_out(config: Any, ask: Ask) -> None:
    """A tensor without units is no larger than inputs and answers make it: everything else is in some set."""
    weights = build(config, seed=1).state_dict()
    axes = {(axis.tensor, axis.axis) for one in unit_sets(units_of(config)) for axis in one.axes(weights)}
    loose = {
        (name, axis)
        for name, tensor in weights.items()
        for axis in range(min(2, tensor.dim()))
        if (name, axis) not in axes and tensor.shape[axis] > 1
    }
    assert {name.rpartition(".")[0] for name, _ in loose} <= ENDS[kind_of(config)]


ENDS = {
    "mlp": {"hidden.0", "head"},
    "resnet": {"stem.0", "head"},
    "depthwise": {"stem.0", "head"},
    "recurrent": {"read", "cells", "head"},
    "encoder": {
        "tokens",
        "places",
        "head",
        *(
            f"layers.{index}.{part}"
            for index in range(2)
            for part in ("before_attention", "before_feed", "query_key_value", "mix", "feed.0", "feed.2")
        ),
        "norm",
    },
    "decoder": {"tokens"},
    "autoencoder": {"encoder.0.0", "decoder.9"},
    "variational": {"encoder.0.0", "encoder.5", "decoder.0", "decoder.9"},
    "gan": {"generator.1", "generator.10", "discriminator.layers.0"},
    "detector": {"stem.0.0", "heat.2", "sides.2"},
    "unet": {"inwards.0.0.0", "head"},
}
"""Modules that have to do with inputs or answers, by kind. An encoder that embeds answers its width, so all have."""


@each_network
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cutting_what_nobody_reads_changes_nothing(config: Any, ask: Ask, seed: int) -> None:
    """Whichever units are cut, of all sets at once: with zeros where they are read, answers are the same before."""
    network = lively(config, seed)
    fixed = tuple(units.name for units in units_of(config) if any(over_units(network, one) for one in units.sets))
    kept = kept_of(config, seed, but=fixed)
    deaf = without(network, kept, lambda one: one.read)
    for expected, found in zip(answers(deaf, ask), answers(smaller(network, kept), ask), strict=True):
        assert torch.allclose(expected, found, atol=1e-4, rtol=1e-4)


@each_network
def test_cutting_what_is_not_made_changes_nothing(config: Any, ask: Ask) -> None:
    """The same where units come out as zero: their weights are zeros, and so are those of their normalisations."""
    if getattr(config, "activation", "") == "sigmoid":
        pytest.skip("a sigmoid makes one half of nothing")
    network = lively(config, 4)
    fixed = tuple(units.name for units in units_of(config) if any(over_units(network, one) for one in units.sets))
    kept = kept_of(config, 4, but=fixed)
    silent = without(network, kept, lambda one: _made(network, one))
    for expected, found in zip(answers(silent, ask), answers(smaller(network, kept), ask), strict=True):
        assert torch.allclose(expected, found, atol=1e-4, rtol=1e-4)


def _made(network: nn.Module, one: UnitSet) -> tuple[Axis, ...]:
    learnt = dict(network.named_parameters())
    return (*one.made, *(axis for norm in one.norms for axis in norm_axes(norm) if axis.tensor in learnt))


class Partial(nn.Module):
    """A layer normalisation over some of the numbers; the others come out as zero."""

    def __init__(self, whole: nn.LayerNorm, kept: torch.Tensor) -> None:
        super().__init__()
        self.whole, self.kept = whole, kept

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` [..., W]."""
        some = x[..., self.kept]
        found = torch.zeros_like(x)
        middle, spread = some.mean(-1, keepdim=True), some.var(-1, keepdim=True, unbiased=False)
        scaled = (some - middle) / (spread + self.whole.eps).sqrt()
        found[..., self.kept] = scaled * self.whole.weight[self.kept] + self.whole.bias[self.kept]
        return found


@pytest.mark.parametrize("name", ["mlp with layer normalisation", "encoder", "encoder with rotary places", "decoder"])
def test_what_is_normalised_together_is_normalised_over_what_is_left(name: str) -> None:
    """Where a normalisation is taken over units, a cut network is the whole one with those taken over the kept."""
    config, ask = PRUNABLE[name]
    network = lively(config, 5)
    kept = kept_of(config, 5)
    deaf = without(network, kept, lambda one: one.read)
    for one in unit_sets(units_of(config)):
        for norm in one.norms:
            parent, _, last = norm.rpartition(".")
            whole = deaf.get_submodule(norm)
            assert isinstance(whole, nn.LayerNorm)
            setattr(deaf.get_submodule(parent), last, Partial(whole, kept[one.name]))
    if name == "decoder":  # its answers are told by the embedding, of which the cut numbers are read too
        with torch.no_grad():
            gone = torch.ones(config.width, dtype=torch.bool)
            gone[kept["width"]] = False
            deaf.get_parameter("tokens.weight")[:, gone] = 0
    for expected, found in zip(answers(deaf, ask), answers(smaller(network, kept), ask), strict=True):
        assert torch.allclose(expected, found, atol=1e-4, rtol=1e-4)


def test_a_block_that_adds_nothing_can_go() -> None:
    """Of a residual network's blocks any that isn't the first of its stage, each stage having its own number."""
    config = ResNetConfig(widths=(8, 12), blocks=3, inner=(4, 8, 6, 4, 6, 8), classes=3)
    network, ask = lively(config, 9), PRUNABLE["depthwise"][1]
    dropped = ("stages.1", "stages.2", "stages.4")
    with torch.no_grad():
        for block in dropped:
            for tensor in ("weight", "bias"):
                network.get_parameter(f"{block}.second.1.{tensor}").zero_()
    kept = {one.name: torch.arange(one.count) for one in unit_sets(units_of(config))}
    fewer = smaller(network, kept, dropped)
    assert ((1, 2), (4, 4, 8)) == (fewer.config.depths, fewer.config.inner)
    assert {"block1", "block2", "block4", "block5"} == {one.name for one in units_of(config) if one.layer}
    for expected, found in zip(answers(network, ask), answers(fewer, ask), strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


@pytest.mark.parametrize("name", ["encoder", "encoder that tags", "decoder"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_layer_that_adds_nothing_can_go(name: str, place: int) -> None:
    """The layers behind it move up, and answers stay."""
    config, ask = PRUNABLE[name]
    network = lively(config, 6)
    layer = f"layers.{place}"
    with torch.no_grad():
        for part in ("mix", "attention.out", "feed.2"):
            for weights in (f"{layer}.{part}.weight", f"{layer}.{part}.bias"):
                if weights in network.state_dict():
                    network.state_dict()[weights].zero_()
    kept = {one.name: torch.arange(one.count) for one in unit_sets(units_of(config))}
    fewer = smaller(network, kept, (layer,))
    assert config.layers - 1 == fewer.config.layers
    for expected, found in zip(answers(network, ask), answers(fewer, ask), strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


@each_network
def test_keeping_all_units_changes_nothing(config: Any, ask: Ask) -> None:
    """A cut that cuts nothing gives the same tensors, in memory of their own; and the config is the same network's."""
    weights = build(config, seed=1).state_dict()
    kept = {one.name: torch.arange(one.count) for one in unit_sets(units_of(config))}
    whole = cut(weights, units_of(config), kept)
    assert weights.keys() == whole.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, whole[name])
        assert tensor.data_ptr() != whole[name].data_ptr()
    assert resized(config, {}) is config


@each_network
def test_a_smaller_config_can_be_made_smaller_again(config: Any, ask: Ask) -> None:
    """As JSON and back it has the counts that were asked, and its network answers."""
    counts = {units.name: max(units.least, (units.count + 1) // 2) for units in units_of(config)}
    plain = json.loads(json.dumps(asdict(resized(config, counts))))
    found = config_of(kind_of(config), plain)
    assert counts == {units.name: units.count for units in units_of(found)}
    assert all(torch.isfinite(one).all() for one in answers(lively(found, 1), ask))


def test_every_kind_of_network_but_somebody_s_own_is_tried() -> None:
    """A kind that is added has units, and a network among these."""
    assert set(KINDS) - {"custom"} == {kind_of(config) for config, _ in PRUNABLE.values()}


def test_somebody_s_own_network_is_refused() -> None:
    """What its units are isn't known; the text says of which kinds it is."""
    config = CustomConfig(function="torch.nn:Identity")
    with pytest.raises(SettingsError, match="kind `custom` has isn't known; it is of autoencoder, decoder"):
        units_of(config)
    with pytest.raises(SettingsError, match="is the config of no network"):
        units_of(Units(name="width", count=1))


def test_units_that_there_are_not_are_refused() -> None:
    """The text names those that there are."""
    with pytest.raises(SettingsError, match=r"^head0: there are no such units, but hidden0, hidden1$"):
        resized(MLPConfig(widths=(4, 4)), {"head0": 1})


@pytest.mark.parametrize(
    "mine,other",
    [
        (MLPConfig(widths=(8, 8)), MLPConfig(widths=(8, 4))),
        (MLPConfig(widths=(8, 8)), MLPConfig(widths=(8,))),
        (ResNetConfig(widths=(8, 8)), ResNetConfig(widths=(8, 8), blocks=2)),
        (EncoderConfig(width=16, heads=2), EncoderConfig(width=16, heads=2, layers=1)),
        (DECODER, EncoderConfig(width=16, heads=2)),
    ],
)
def test_weights_of_another_architecture_are_refused(mine: Any, other: Any) -> None:
    """The text names the first tensor that is missing, or has another shape."""
    kept = {one.name: torch.arange(one.count) for one in unit_sets(units_of(mine))}
    with pytest.raises(
        (ArtifactError, RuntimeError), match=r"another architecture|Missing key|size mismatch|Unexpected"
    ):
        build(mine, 1).load_state_dict(cut(build(other, seed=1).state_dict(), units_of(mine), kept))


def test_induction_heads_stay_in_front() -> None:
    """They are found by their places, so they are kept, and remain the first."""
    config = DecoderConfig(layers=2, width=32, heads=8, cache_heads=4, induction_heads=1, context=12, vocabulary=40)
    network = lively(config, 7)
    kept = {one.name: torch.arange(one.count) for one in unit_sets(units_of(config))}
    kept |= {"heads0": torch.tensor([0, 2]), "heads1": torch.tensor([0, 3])}
    deaf = without(network, kept, lambda one: one.read)
    ask = PRUNABLE["decoder"][1]
    assert torch.allclose(answers(deaf, ask)[0], answers(smaller(network, kept), ask)[0], atol=1e-5)
    assert (1, 2, 4) == (config.induction_heads, (found := smaller(network, kept).config).cache_heads, found.heads)


def test_a_pruned_decoder_answers_the_same_step_by_step() -> None:
    """Its cache has fewer heads and layers, and what it answers with it is what it answers to the whole."""
    network = lively(DECODER, 8)
    kept = kept_of(DECODER, 8) | {f"heads{index}": torch.tensor([1]) for index in range(3)}
    found = smaller(network, kept, ("layers.1",))
    (whole,) = answers(found, PRUNABLE["decoder"][1])
    past = torch.zeros(len(IDS), *found.config.cache_shape)
    with torch.inference_mode():
        logits, _, _ = found.step(IDS, past, torch.zeros(len(IDS), 1, dtype=torch.int64))
    assert (2, 2, 1) == found.config.cache_shape[:3]
    assert torch.allclose(whole, logits, atol=1e-4)


@given(runs=st.integers(1, 4), size=st.integers(1, 3), count=st.integers(1, 6), start=st.integers(0, 3), data=st.data())
@settings(max_examples=50)
def test_places_are_those_of_the_units(runs: int, size: int, count: int, start: int, data: st.DataObject) -> None:
    """Rows by unit hold what the places of that unit hold, for every unit."""
    axis = Axis(tensor="one", axis=1, start=start, runs=runs, size=size)
    tensor = torch.arange(2 * (start + runs * count * size + 1)).reshape(2, -1)
    unit = data.draw(st.integers(0, count - 1))
    rows = axis.by_unit(tensor, count)
    places = axis.places(torch.tensor([unit]), count)
    assert sorted(tensor[:, places].flatten().tolist()) == sorted(rows[unit].tolist())


@pytest.mark.parametrize(
    "config,wrong,text",
    [
        (EncoderConfig, {"layer_heads": (2,)}, "layer_heads: is empty, or has one width"),
        (EncoderConfig, {"layer_heads": (0, 2)}, "layer_heads: is empty, or has one width of at least 1"),
        (EncoderConfig, {"feeds": (-1, 8)}, "feeds: is empty, or has one width of at least 0"),
        (EncoderConfig, {"head_size": -1}, "width, heads"),
        (EncoderConfig, {"head_size": 3, "places": "rotary"}, "width, heads: width must be an even multiple"),
        (DecoderConfig, {"feeds": (8,)}, "feeds: is empty, or has one width"),
        (DecoderConfig, {"head_size": 3}, "width, heads"),
        (GANConfig, {"generator": (8,)}, "generator: is empty, or has one width"),
        (GANConfig, {"discriminator": (8, 0)}, "discriminator: is empty"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(config: Any, wrong: dict[str, object], text: str) -> None:
    """A config says what it lacks before a network is built of it."""
    with pytest.raises(ValueError, match=f"^{text}"):
        config(**wrong)
