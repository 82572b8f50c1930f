"""Students: smaller networks of every kind, at a wanted share of a cost, which begin as their teachers do."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import SettingsError
from tests.training.architectures import ARCHITECTURES
from tests.training.compression.distillation.kinds import DECODER, ENCODER
from training.compression.distillation.student import SHARES, inherit, smaller, student_of, without_layers
from training.networks.autoencoder import AutoencoderConfig
from training.networks.catalogue import build, kind_of
from training.networks.decoder import DecoderConfig
from training.networks.depthwise import DepthwiseConfig
from training.networks.encoder import EncoderConfig
from training.networks.gan import GANConfig
from training.networks.mlp import MLPConfig
from training.networks.recurrent import RecurrentConfig
from training.networks.resnet import ResNetConfig, parameters

KINDS = {name: one.config for name, one in ARCHITECTURES.items() if not isinstance(one.config, GANConfig)}
KINDS["encoder-without-layers"] = EncoderConfig(layers=0, width=32, heads=2)
KINDS["decoder"] = DecoderConfig(layers=3, width=48, heads=6, cache_heads=3, induction_heads=2)


def weights(config: Any) -> float:
    """The number of a network's weights."""
    return float(sum(one.numel() for one in build(config, 0).parameters()))


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(sorted(KINDS)), width=st.sampled_from(SHARES), depth=st.sampled_from(SHARES))
def test_every_kind_has_smaller_ones(name: str, width: float, depth: float) -> None:
    """It takes and answers the same, and is never larger."""
    config = KINDS[name]
    found = smaller(config, width=width, depth=depth)
    assert type(config) is type(found)
    assert weights(found) <= weights(config)
    if name in ARCHITECTURES and kind_of(config) != "variational":
        inputs = ARCHITECTURES[name].inputs
        shapes = [
            one.shape if isinstance(one, torch.Tensor) else [part.shape for part in one]
            for one in (build(each, 1).eval()(inputs) for each in (config, found))
        ]
        if "embeds" not in name:
            assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", KINDS)
def test_a_whole_share_is_the_same_network(name: str) -> None:
    """Nothing is rounded away."""
    assert KINDS[name] == smaller(KINDS[name])


def test_students_of_each_kind_by_hand() -> None:
    """Widths are multiples of 16 where they can be, heads keep their size, and what belongs together stays so."""
    resnet = ResNetConfig(widths=(64, 96), blocks=4, inner=(48,) * 8)
    assert ResNetConfig(widths=(32, 48), blocks=4, inner=(32,) * 8) == smaller(resnet, width=0.5)
    assert ResNetConfig(widths=(64, 96), blocks=2) == smaller(resnet, depth=0.5)
    assert DepthwiseConfig(widths=(4, 16), blocks=1) == smaller(
        DepthwiseConfig(widths=(8, 32), blocks=2), width=0.5, depth=0.5
    )
    assert MLPConfig(widths=(32, 16)) == smaller(MLPConfig(widths=(128, 64, 48, 32)), width=0.5, depth=0.5)
    assert EncoderConfig(layers=3, width=64, heads=2) == smaller(
        EncoderConfig(layers=6, width=128, heads=4), width=0.5, depth=0.5
    )
    assert DecoderConfig(layers=2, width=96, heads=3, cache_heads=1, induction_heads=1) == smaller(
        DecoderConfig(layers=4, width=128, heads=4, cache_heads=2, induction_heads=2), width=0.75, depth=0.5
    )
    assert RecurrentConfig(width=96, layers=1) == smaller(RecurrentConfig(width=256, layers=2), width=0.375, depth=0.5)
    assert AutoencoderConfig(widths=(16, 32)) == smaller(AutoencoderConfig(widths=(32, 64)), width=0.5)


@pytest.mark.parametrize("share", [0.7, 0.5, 0.25, 0.1])
def test_a_student_costs_about_what_is_asked(share: float) -> None:
    """Within a fifth, where widths go by sixteens."""
    config = ResNetConfig(widths=(96, 128, 192), blocks=2)
    found = parameters(student_of(config, share, parameters)) / parameters(config)
    assert share == pytest.approx(found, rel=0.2)


def test_of_students_that_cost_the_same_the_deepest_is_taken() -> None:
    """A quarter of the weights is half the width, though a quarter of the blocks would come to about the same."""
    found = student_of(ResNetConfig(widths=(64,), blocks=8), 0.25, parameters)
    assert (8, (32,)) == (found.blocks, found.widths)


def test_a_shallow_student_has_the_fewest_layers_of_those_that_are_near() -> None:
    """One block for a quarter of the weights; where a layer alone is more than the share, it is narrower too."""
    resnet = ResNetConfig(widths=(64,), blocks=8)
    found = student_of(resnet, 0.25, parameters, shallow=True)
    assert (2, (64,)) == (found.blocks, found.widths)
    encoder = EncoderConfig(layers=2, width=64, heads=4)
    found = student_of(encoder, 0.12, weights, shallow=True)
    assert found.layers == 1
    assert found.width < 64


def test_a_transformers_feed_forward_part_may_be_narrower_than_its_width_says() -> None:
    """In every layer, by the share that is asked."""
    found = smaller(EncoderConfig(layers=2, width=64, heads=4), width=0.5, feed=0.25)
    assert (32, (32, 32)) == (found.width, found.feeds)


def test_students_of_a_transformer_with_shapes_of_its_own_keep_its_proportions() -> None:
    """Parts that a layer hasn't are none of its students', and heads keep their size."""
    own = EncoderConfig(layers=2, width=64, heads=4, head_size=8, layer_heads=(4, 2), feeds=(64, 0))
    assert smaller(own) is own
    half = smaller(own, width=0.5)
    assert (32, 8, (2, 1), (32, 0)) == (half.width, half.size_of_head, half.layer_heads, half.feeds)
    assert (1, (2,), (0,)) == ((one := smaller(own, depth=0.5)).layers, one.layer_heads, one.feeds)
    alone = EncoderConfig(layers=1, width=32, heads=1, feeds=(0,))
    assert smaller(alone, depth=0.1) is alone
    decoder = DecoderConfig(layers=2, width=64, heads=4, cache_heads=2, head_size=8, feeds=(32, 64))
    half = smaller(decoder, width=0.5)
    assert (32, 2, 8, (16, 32)) == (half.width, half.heads, half.size_of_head, half.feeds)
    for config in (own, half, smaller(own, width=0.25), alone):
        build(config, 0)


def test_a_text_may_be_the_mean_of_its_tokens() -> None:
    """With the width and the words of its teacher, whatever that one's layers were cut to; the order tells nothing."""
    cut = EncoderConfig(layers=2, width=32, heads=2, layer_heads=(2, 1), feeds=(32, 16), places="rotary")
    bare = without_layers(cut)
    assert bare is not None
    assert (0, 32, ()) == (bare.layers, bare.width, bare.feeds)
    student, teacher = build(bare, 0).eval(), build(cut, 1).eval()
    assert "tokens.weight" in inherit(student, teacher)
    ids = torch.tensor([[5, 6, 7, 0], [7, 5, 6, 0]])
    told, other = student(ids)
    torch.testing.assert_close(told, other)
    torch.testing.assert_close(told, student(ids[:, :3])[0])
    assert not torch.allclose(*teacher(ids))


def test_what_each_token_is_takes_those_around_it() -> None:
    """There is no such network of a tagger, of other kinds, or of itself."""
    assert without_layers(replace(ENCODER, head="tokens")) is None
    assert without_layers(KINDS["decoder"]) is None
    assert without_layers(replace(ENCODER, head="text", layers=0)) is None


def test_students_that_can_not_be_are_refused() -> None:
    """No share, nothing smaller, and a kind of which nothing is known."""
    with pytest.raises(SettingsError, match="student: its share of the cost must be above 0 and below 1"):
        student_of(ENCODER, 1.0, weights)
    with pytest.raises(SettingsError, match="student: there is no smaller network of this kind"):
        student_of(MLPConfig(widths=(1,)), 0.5, weights)
    with pytest.raises(SettingsError, match="student: how a network of kind gan is made smaller isn't known; name its"):
        smaller(GANConfig(), width=0.5)


@pytest.mark.parametrize("config", [ENCODER, DECODER, RecurrentConfig(layers=4, width=16), ResNetConfig(blocks=2)])
def test_a_student_begins_as_its_teacher(config: Any) -> None:
    """Half as deep, it has nothing of its own: layers that change the shape are those that did."""
    teacher, student = build(config, 1), build(smaller(config, depth=0.5), 2)
    kept = inherit(student, teacher)
    mine, theirs = student.state_dict(), teacher.state_dict()
    assert set(mine) == set(kept)
    assert all(any(torch.equal(value, other) for other in theirs.values()) for value in mine.values())


def test_layers_that_are_taken_over_are_spread() -> None:
    """The second and the fourth of four; where nothing is cut, the student is its teacher."""
    teacher = build(ENCODER, 1)
    student = build(replace(ENCODER, layers=2), 2)
    inherit(student, teacher)
    mine, theirs = student.state_dict(), teacher.state_dict()
    assert torch.equal(theirs["layers.1.mix.weight"], mine["layers.0.mix.weight"])
    assert torch.equal(theirs["layers.3.mix.weight"], mine["layers.1.mix.weight"])
    same = build(ENCODER, 2)
    assert set(theirs) == set(inherit(same, teacher))


def test_what_does_not_fit_begins_afresh() -> None:
    """Half as wide, a network has nothing of its teacher but what has no width."""
    teacher, student = build(ResNetConfig(widths=(32, 32)), 1), build(ResNetConfig(widths=(16, 16)), 2)
    kept = inherit(student, teacher)
    assert {"head.bias"} == {name for name in kept if "num_batches_tracked" not in name}
