"""The encoder: every token sees every other, and none sees padding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.catalogue import build
from training.networks.encoder import Encoder, EncoderConfig, Head, Places, turn_at

CONFIG = EncoderConfig(layers=2, width=16, heads=2, vocabulary=30, length=12, classes=3)


def lively(head: Head, places: Places = "learnt") -> Encoder:
    """A network whose weights are large enough that what it sees matters."""
    network = build(replace(CONFIG, head=head, places=places), seed=1).eval()
    assert isinstance(network, Encoder)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(4)
    return network


NETWORKS = {head: lively(head) for head in ("text", "tokens", "embedding")}
ROTARY = lively("tokens", "rotary")


def text(seed: int, length: int = CONFIG.length) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(1, CONFIG.vocabulary, (1, length)))


each_head = pytest.mark.parametrize("head", NETWORKS)


@each_head
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), length=st.integers(1, CONFIG.length - 1), longer=st.integers(1, CONFIG.length))
def test_padding_changes_no_answer(head: str, seed: int, length: int, longer: int) -> None:
    """A text answers the same alone, padded, and in a batch with a longer one."""
    ids = text(seed, length)
    padded = torch.zeros(2, max(length, longer), dtype=torch.int64)
    padded[0, :length], padded[1] = ids[0], text(seed + 100, padded.shape[1])[0]
    with torch.inference_mode():
        alone, together = NETWORKS[head](ids)[0], NETWORKS[head](padded)[0]
    assert torch.allclose(alone, together[:length] if head == "tokens" else together, atol=1e-5)


def test_a_layer_may_have_no_feed_forward_part() -> None:
    """It is attention alone, which tokens of another layer still are fed; its tensors aren't there."""
    whole = build(replace(CONFIG, feeds=(8, 8)), seed=1).eval()
    half = build(replace(CONFIG, feeds=(8, 0)), seed=2).eval()
    left = {name for name in whole.state_dict() if name.startswith(("layers.1.feed", "layers.1.before_feed"))}
    assert whole.state_dict().keys() - left == half.state_dict().keys()
    half.load_state_dict({name: tensor for name, tensor in whole.state_dict().items() if name not in left})
    with torch.inference_mode():
        for weights in whole.get_submodule("layers.1.feed.2").parameters():
            weights.zero_()
        torch.testing.assert_close(whole(text(3)), half(text(3)))


def test_without_layers_a_text_is_the_mean_of_its_tokens() -> None:
    """Only layers know of rotary places, so their order means nothing."""
    network = build(replace(CONFIG, layers=0, places="rotary"), seed=1).eval()
    ids = text(3)
    with torch.inference_mode():
        told, turned = network(ids), network(ids.flip(1))
    assert (1, CONFIG.classes) == told.shape
    torch.testing.assert_close(told, turned)


def test_layers_can_not_be_less_than_none() -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match="layers: must not be below 0"):
        replace(CONFIG, layers=-1)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), at=st.integers(0, CONFIG.length - 1))
def test_every_token_sees_every_other(seed: int, at: int) -> None:
    """Another token anywhere changes the answers at all places: before it, at it, and after it."""
    ids = text(seed)
    other = ids.clone()
    other[0, at] = ids[0, at] % (CONFIG.vocabulary - 1) + 1
    with torch.inference_mode():
        first, second = NETWORKS["tokens"](ids), NETWORKS["tokens"](other)
    assert ((first - second).abs().amax(dim=2) > 1e-6).all()


def test_order_matters() -> None:
    """The same tokens in another order are another text."""
    ids = text(1)
    with torch.inference_mode():
        assert not torch.allclose(NETWORKS["text"](ids), NETWORKS["text"](ids.flip(1)), atol=1e-3)


@torch.no_grad()
def test_rotary_places_go_by_distance() -> None:
    """One layer's attention between two tokens is the same wherever both stand, and another if they swap places."""
    layer = ROTARY.layers[0]
    first, second = torch.randn(2, 16, generator=torch.Generator().manual_seed(3))
    plain = torch.zeros(1, 9, 16)

    def attended(one: int, other: int) -> torch.Tensor:
        x, mask = plain.clone(), torch.full((1, 1, 1, 9), torch.finfo(torch.float32).min)
        x[0, one], x[0, other] = first, second
        mask[..., [one, other]] = 0.0
        found: torch.Tensor = layer(x, mask, turn_at(torch.arange(9), 8))
        return found[0, one]

    assert torch.allclose(attended(1, 3), attended(5, 7), atol=1e-5)
    assert not torch.allclose(attended(1, 3), attended(3, 1), atol=1e-3)
    assert not torch.allclose(attended(1, 3), attended(1, 7), atol=1e-3)


@torch.no_grad()
def test_rotary_places_leave_padding_alone() -> None:
    """A text answers the same alone and padded."""
    ids = text(4, 7)
    padded = torch.cat([ids, torch.zeros(1, 5, dtype=torch.int64)], dim=1)
    assert torch.allclose(ROTARY(ids)[0], ROTARY(padded)[0, :7], atol=1e-5)


@each_head
def test_an_empty_text_has_an_answer(head: str) -> None:
    """All padding, as a client may send it: numbers, the same for any amount of padding."""
    network = NETWORKS[head]
    with torch.inference_mode():
        short, long = (network(torch.zeros(1, length, dtype=torch.int64))[0] for length in (3, 9))
    assert torch.isfinite(long).all()
    if head != "tokens":
        assert torch.allclose(short, long, atol=1e-6)


def test_embeddings_have_unit_length() -> None:
    """So that a product of two says how alike two texts are."""
    ids = torch.cat([text(seed) for seed in range(5)])
    with torch.inference_mode():
        found = NETWORKS["embedding"](ids)
    assert (5, CONFIG.width) == found.shape
    assert torch.allclose(torch.ones(5), found.norm(dim=1))
