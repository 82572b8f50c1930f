"""The decoder: what it sees, and that both ways of computing it agree."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.networks.decoder import Decoder, DecoderConfig, build

CONFIG = DecoderConfig(layers=2, width=32, heads=4, cache_heads=2, induction_heads=1, context=24, vocabulary=50)


def lively(seed: int = 1) -> Decoder:
    """A network whose weights are large enough that what it sees matters."""
    network = build(CONFIG, seed).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(4)
    return network


NETWORK = lively()


def text(seed: int, rows: int = 1, length: int = CONFIG.context) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, CONFIG.vocabulary, (rows, length)))


def cache(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(rows, *CONFIG.cache_shape), torch.zeros(rows, 1, dtype=torch.int64)


@torch.inference_mode()
def in_steps(ids: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """The logits of `ids` [N, T], fed in steps of these lengths."""
    past, position = cache(len(ids))
    found = []
    for part in ids.split(lengths, dim=1):  # type: ignore[no-untyped-call] # torch leaves it untyped
        logits, past, position = NETWORK.step(part, past, position)
        found.append(logits)
    assert (position == ids.shape[1]).all()
    return torch.cat(found, dim=1)


@given(seed=st.integers(0, 99), at=st.integers(1, CONFIG.context - 1))
@settings(max_examples=20, deadline=None)
def test_what_comes_later_changes_nothing_before_it(seed: int, at: int) -> None:
    """Logits of a position depend on it and on what was before, whatever follows."""
    ids, other = text(seed), text(seed + 100)
    other[:, :at] = ids[:, :at]
    with torch.inference_mode():
        first, second = NETWORK(ids), NETWORK(other)
    assert torch.equal(first[:, :at], second[:, :at])
    assert not torch.allclose(first[:, at:], second[:, at:])


@st.composite
def cuts(draw: st.DrawFn) -> list[int]:
    """Lengths of steps that add up to at most the context."""
    left = CONFIG.context
    lengths: list[int] = []
    while left and (not lengths or draw(st.booleans())):
        lengths.append(draw(st.integers(1, left)))
        left -= lengths[-1]
    return lengths


@given(seed=st.integers(0, 99), lengths=cuts(), rows=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_a_text_in_steps_of_any_length_is_the_text(seed: int, lengths: list[int], rows: int) -> None:
    """With the cache fed back, logits are those of the whole sequence, token by token or in any pieces."""
    ids = text(seed, rows, sum(lengths))
    with torch.inference_mode():
        whole = NETWORK(ids)
    assert torch.allclose(whole, in_steps(ids, lengths), atol=1e-4)


@given(seed=st.integers(0, 99), starts=st.lists(st.integers(0, 18), min_size=2, max_size=4))
@settings(max_examples=20, deadline=None)
def test_rows_of_a_batch_may_be_at_different_places(seed: int, starts: list[int]) -> None:
    """Each row goes on from its own position, whatever its batch-mates are at."""
    ids = text(seed, len(starts))
    past, position = cache(len(starts))
    with torch.inference_mode():
        whole = NETWORK(ids)
        for row, start in enumerate(starts):
            one = slice(row, row + 1)
            if start:
                _, past[one], position[one] = NETWORK.step(ids[one, :start], past[one], position[one])
        chunk = torch.stack([ids[row, start : start + 3] for row, start in enumerate(starts)])
        logits, _, after = NETWORK.step(chunk, past, position)
    assert [start + 3 for start in starts] == after[:, 0].tolist()
    for row, start in enumerate(starts):
        assert torch.allclose(whole[row, start : start + 3], logits[row], atol=1e-4)


def test_what_lies_beyond_the_filled_cache_does_not_count() -> None:
    """Whatever a cache holds behind its position, the answer is the same: a server may reuse memory."""
    ids = text(3)
    past, position = cache(1)
    with torch.inference_mode():
        _, past, position = NETWORK.step(ids[:, :5], past, position)
        expected, _, _ = NETWORK.step(ids[:, 5:7], past, position)
        past[:, :, :, :, 5:] = 1e3
        found, _, _ = NETWORK.step(ids[:, 5:7], past, position)
    assert torch.equal(expected, found)


def test_a_row_that_cannot_be_spares_its_batch_mates() -> None:
    """An id that there isn't, or a place beyond the context, is answered, and changes no other row."""
    past, position = cache(3)
    ids = text(4, 3, 2)
    with torch.inference_mode():
        expected, _, _ = NETWORK.step(ids, past, position)
        ids[1], position[2] = torch.tensor([-1, 10**9]), 10**12
        found, _, _ = NETWORK.step(ids, past, position)
    assert torch.allclose(expected[0], found[0], atol=1e-5)
    assert torch.isfinite(found).all()


def test_the_same_seed_builds_the_same_network() -> None:
    """Weights depend on config and seed alone, and building one draws nothing from torch's own generator."""
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    first, second, other = build(CONFIG, 1), build(CONFIG, 1), build(CONFIG, 2)
    assert torch.equal(expected, torch.rand(3))
    states = [network.state_dict() for network in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["tokens.weight"], states[2]["tokens.weight"])


@pytest.mark.parametrize(
    "wrong,text",
    [
        ({"width": 30}, "width must be an even multiple of heads"),
        ({"cache_heads": 3}, "heads one of cache_heads"),
        ({"layers": 0}, "must be at least 1"),
        ({"context": 1}, "context at least 2"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(wrong: dict[str, Any], text: str) -> None:
    """Heads share the width, and cache heads the heads, without a rest."""
    with pytest.raises(ValueError, match=text):
        DecoderConfig(**wrong)
