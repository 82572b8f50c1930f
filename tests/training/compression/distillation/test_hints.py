"""Hints: by hand, and in what doesn't change them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from service.errors import SettingsError
from training.compression.distillation.hints import attention_apart, features_apart, projection, relations_apart
from training.compression.distillation.layers import Attending, attending
from training.networks.catalogue import build
from training.networks.encoder import EncoderConfig

TWO = Attending(modules=("query_key_value",), shares=(1, 1, 1), size=4, causal=False)
FOUR = Attending(modules=("query_key_value",), shares=(1, 1, 1), size=2, causal=False)
CAUSAL = Attending(modules=("attention.query", "attention.key_value"), shares=(4, 2, 2), size=2, causal=True)
ALL = torch.ones(3, 5, dtype=torch.bool)


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_features_are_off_by_a_share() -> None:
    """Of 3 and 4, whose squares are 25, one is missed by 1."""
    found, wanted = torch.tensor([[3.0, 3.0], [3.0, 4.0]]), torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    assert torch.allclose(torch.tensor([1 / 25, 0.0]), features_apart(found, wanted))


def test_attention_is_where_features_are_large() -> None:
    """Two places: the one that has all of it, and both alike, which lie at an angle of 45 degrees."""
    found = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]]]])
    wanted = torch.tensor([[[[5.0, -5.0]]]])
    assert 2 - math.sqrt(2) == pytest.approx(attention_apart(found, wanted).item(), abs=1e-6)


def test_relations_are_the_likeness_of_tokens() -> None:
    """Two tokens of one number, equal to the student; to the teacher's queries each is more like itself."""
    one = Attending(modules=("query_key_value",), shares=(1, 1, 1), size=1, causal=False)
    found, wanted = torch.zeros(1, 2, 3), torch.zeros(1, 2, 3)
    wanted[0, :, 0] = torch.tensor([1.0, -1.0])
    share = math.e**2 / (1 + math.e**2)
    expected = share * math.log(2 * share) + (1 - share) * math.log(2 * (1 - share))
    apart = relations_apart(found, wanted, None, student=one, teacher=one)
    assert expected / 3 == pytest.approx(apart.item(), abs=1e-6)


@given(scale=st.floats(0.1, 10), seed=st.integers(0, 100))
def test_what_is_equal_is_not_apart(scale: float, seed: int) -> None:
    """Features must be equal; attention is the same at any scale, and for any signs."""
    maps = drawn(3, 4, 5, 5, seed=seed)
    assert 0 == features_apart(maps, maps).abs().max()
    assert attention_apart(-scale * maps, maps).abs().max() < 1e-5
    tokens = drawn(3, 5, 24, seed=seed)
    assert relations_apart(tokens, tokens, ALL, student=TWO, teacher=FOUR).abs().max() < 1e-5


def test_hints_are_of_any_size() -> None:
    """The larger map is averaged; transformers may have other widths and heads, and shared keys and values."""
    found, wanted = drawn(3, 4, 8, 8), drawn(3, 4, 4, 4, seed=2)
    smaller = nn.functional.avg_pool2d(found, 2)
    assert torch.allclose(features_apart(smaller, wanted), features_apart(found, wanted))
    assert torch.allclose(features_apart(wanted, smaller), features_apart(wanted, found))
    assert (3,) == attention_apart(drawn(3, 7, 8, 8), wanted).shape
    assert (relations_apart(drawn(3, 5, 24), drawn(3, 5, 96), ALL, student=TWO, teacher=FOUR) > 0).all()
    shared = Attending(modules=CAUSAL.modules, shares=(2, 1, 1), size=4, causal=True)
    assert (relations_apart(drawn(3, 5, 16), drawn(3, 5, 64), ALL, student=shared, teacher=CAUSAL) > 0).all()


def test_heads_are_counted_layer_by_layer() -> None:
    """Of a layer that was cut to three of eight heads those are put together, and none is cut apart."""
    whole = build(EncoderConfig(layers=2, width=64, heads=8), 1)
    cut = build(EncoderConfig(layers=2, width=64, heads=8, head_size=8, layer_heads=(3, 4)), 1)
    student, teacher = attending(cut), attending(whole)
    found, wanted = drawn(3, 5, 3 * 3 * 8), drawn(3, 5, 3 * 8 * 8, seed=2)
    assert (relations_apart(found, wanted, ALL, student=student, teacher=teacher) > 0).all()
    four = drawn(3, 5, 3 * 4 * 8)
    turned = four.view(3, 5, 3, 4, 8) @ torch.linalg.qr(drawn(8, 8))[0]  # within heads, which changes no product
    assert relations_apart(four, turned.flatten(2), ALL, student=student, teacher=student).abs().max() < 1e-5


def test_padding_says_nothing() -> None:
    """Whatever lies there, and also where the longest text of a batch is shorter than the others' places."""
    there = torch.arange(5) < torch.tensor([[2], [5], [3]])
    found, wanted = drawn(3, 5, 24), drawn(3, 5, 24, seed=2)
    changed = torch.where(there[:, :, None], found, 9.0)
    for measure in (features_apart, attention_apart):
        assert torch.equal(measure(found, wanted, there), measure(changed, wanted, there))
    alike, other = (relations_apart(one, wanted, there, student=TWO, teacher=TWO) for one in (found, changed))
    assert torch.allclose(alike, other)
    first = relations_apart(found[:1, :2], wanted[:1, :2], None, student=TWO, teacher=TWO)
    assert torch.allclose(first, alike[:1])
    short = there & (torch.arange(5) < 3)
    cut = features_apart(found[:, :3], wanted[:, :3], short)
    assert torch.allclose(features_apart(found, wanted, short), cut)


def test_later_tokens_say_nothing_of_a_causal_one() -> None:
    """The first two tokens of a text compare as if it ended there."""
    found, wanted = drawn(1, 5, 16), drawn(1, 5, 16, seed=2)
    first = relations_apart(found[:, :2], wanted[:, :2], None, student=CAUSAL, teacher=CAUSAL)
    there = torch.arange(5)[None] < 2
    assert torch.allclose(first, relations_apart(found, wanted, there, student=CAUSAL, teacher=CAUSAL))


def test_projections_are_learnt_where_widths_differ() -> None:
    """Maps by a convolution of single pixels, steps and rows by a linear layer; what fits already by nothing."""
    assert (3, 6, 4, 4) == projection(drawn(3, 4, 4, 4), drawn(3, 6, 2, 2))(drawn(3, 4, 4, 4)).shape
    assert (3, 5, 6) == projection(drawn(3, 5, 4), drawn(3, 5, 6))(drawn(3, 5, 4)).shape
    assert isinstance(projection(drawn(3, 4), drawn(3, 4)), nn.Identity)


def test_what_can_not_be_compared_is_refused() -> None:
    """Rows have no places; a map isn't like a row."""
    with pytest.raises(SettingsError, match=r"hints: rows \[3, 4\] have no places to attend to; use `features`"):
        attention_apart(drawn(3, 4), drawn(3, 4))
    with pytest.raises(SettingsError, match=r"features \[3, 4, 2, 2\] can't be like \[3, 4\]; name layers of one kind"):
        projection(drawn(3, 4, 2, 2), drawn(3, 4))
