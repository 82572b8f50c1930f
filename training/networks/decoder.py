"""A decoder-only transformer for text, small, computed in two ways that give the same.

`Decoder.forward` takes whole windows: training. `Decoder.step` takes the next few tokens and a cache of what was seen
before: serving. The cache has a fixed size, so that a server can keep it between requests and batch sequences that are
at different places: [N, L, 2, H, C, D], keys and values of L layers and H heads for C positions. Queries have more
heads than keys and values, which keeps the cache small.

Places are told by turning queries and keys, so that only distances count. Two layers in windows of 128 got to 2.03 bits
a byte of validation text after 1,000 steps, with an embedding of each place to 2.27 after 1,200 (measured once).

Some heads know a token by the one before it: looking for what they see themselves, they find what followed it last
time, in one layer instead of two. With one of two such heads, two layers got to 1.95 bits a byte of validation text
after 6 epochs of 299,000 characters, and to 2.00 without (measured once).

Sources: A. Vaswani et al., "Attention Is All You Need", 2017; normalisation before each part and tied embeddings as in
A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019; shared keys and values, J. Ainslie et
al., "GQA", 2023, arXiv 2305.13245; places, J. Su et al., "RoFormer", 2021, arXiv 2104.09864; keys of the token before,
C. Olsson et al., "In-context Learning and Induction Heads", 2022, arXiv 2209.11895 (there they are mixed with a
token's own).
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import nn
from torch.nn import functional

from training.networks.checks import check_layers
from training.networks.layers import WIDENING, feed_forward, initialise_transformer
from training.seeding import seeded

SLOWEST = 10_000.0
"""The slowest pair of a head turns once in 2 pi times as many places (RoFormer)."""


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """`context` is how many tokens are seen at once. `heads` share the `width`; `cache_heads` have keys and values.

    Of those, `induction_heads` know a token by the key of the one before it.

    A network that was made smaller says more: `head_size` numbers of each head, where 0 is the `width` over `heads`,
    and the width of each layer's feed-forward part, `feeds`; empty means four times the `width`.

    `vocabulary` is the tokenizer's to decide.
    """

    layers: int = 4
    width: int = 128
    heads: int = 4
    cache_heads: int = 2
    induction_heads: int = 0
    context: int = 256
    head_size: int = 0
    feeds: tuple[int, ...] = ()
    vocabulary: int = 1000

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.cache_heads, self.vocabulary) < 1 or self.context < 2:
            raise ValueError("layers, width, heads, cache_heads, context: must be at least 1, context at least 2")
        shared = self.head_size % 2 if self.head_size else self.width % (2 * self.heads)
        if shared or self.head_size < 0 or self.heads % self.cache_heads:
            raise ValueError("width, heads: width must be an even multiple of heads, and heads one of cache_heads")
        if not 0 <= self.induction_heads <= self.cache_heads:
            raise ValueError("induction_heads: must be between 0 and cache_heads")
        check_layers(self.layers, feeds=self.feeds)

    @property
    def size_of_head(self) -> int:
        """How many numbers a query, a key or a value has."""
        return self.head_size or self.width // self.heads

    @property
    def feed_widths(self) -> tuple[int, ...]:
        """The widths of the feed-forward parts, layer by layer."""
        return self.feeds or (WIDENING * self.width,) * self.layers

    @property
    def cache_shape(self) -> tuple[int, int, int, int, int]:
        """What is kept of one sequence: (L, 2, H, C, D)."""
        return self.layers, 2, self.cache_heads, self.context, self.size_of_head

    @property
    def cache_bytes(self) -> int:
        """How much that is, in 32-bit numbers."""
        return math.prod(self.cache_shape) * 4


Turn: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""What turns queries and keys of T tokens: cosines and sines, [N or 1, T, 1, D] each."""


class Attention(nn.Module):
    """Every position looks at itself and those before it. Group g of query heads looks at cache head g."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self._heads = config.cache_heads
        self._size = config.size_of_head
        self._group = config.heads // config.cache_heads
        self._induction = config.induction_heads
        self.query = nn.Linear(config.width, config.heads * self._size, bias=False)
        self.key_value = nn.Linear(config.width, 2 * config.cache_heads * self._size, bias=False)
        self.out = nn.Linear(config.heads * self._size, config.width, bias=False)

    def forward(self, x: torch.Tensor, turn: Turn) -> torch.Tensor:
        """What tokens `x` [N, T, W] find in those before them, and in themselves: [N, T, W]."""
        query, new = self._project(x, turn)
        key, value = torch.split(new, self._heads, dim=1)
        key, value = (one.repeat_interleave(self._group, dim=1) for one in (self._known(key, axis=2), value))
        # A kernel that keeps no scores: 8 windows of 256 took 17 ms forward and back, with them 38 (measured once).
        return self._mixed(functional.scaled_dot_product_attention(query, key, value, is_causal=True))

    def step(self, x: torch.Tensor, cache: torch.Tensor, places: "Places") -> tuple[torch.Tensor, torch.Tensor]:
        """The same of tokens at `places` of what the `cache` [N, 2 H, C, D] holds, and the cache with them in it."""
        query, new = self._project(x, places.turn)
        cache = cache.scatter(2, places.cells, new)
        key, value = torch.split(cache, self._heads, dim=1)
        # Those of one head are multiplied as one matrix: keys aren't copied for each of a group.
        query = query.reshape(x.shape[0], self._heads, -1, self._size) / math.sqrt(self._size)
        # Scores are smaller than keys, so those are moved where a head knows a token by the one before it.
        scores = self._known(query @ key.transpose(2, 3), axis=3) + places.mask
        mixed = torch.softmax(scores, dim=3) @ value
        return self._mixed(mixed.view(x.shape[0], self._heads * self._group, -1, self._size)), cache

    def _project(self, x: torch.Tensor, turn: Turn) -> tuple[torch.Tensor, torch.Tensor]:
        """`x` [N, T, W] as queries [N, G H, T, D], and keys, then values [N, 2 H, T, D].

        Queries and keys are turned at once: the time of a step is made of its nodes.
        """
        turning = self._heads * (self._group + 1)
        parts = torch.cat([self.query(x), self.key_value(x)], dim=2)
        parts = parts.view(x.shape[0], -1, turning + self._heads, self._size)
        parts = torch.cat([_turned(parts[:, :, :turning], turn, self._size // 2), parts[:, :, turning:]], dim=2)
        query, new = torch.split(parts.transpose(1, 2), [self._heads * self._group, 2 * self._heads], dim=1)
        return query, new

    def _mixed(self, found: torch.Tensor) -> torch.Tensor:
        """What each head found, [N, G H, T, D], in one: [N, T, W]."""
        mixed: torch.Tensor = self.out(found.transpose(1, 2).flatten(2))
        return mixed

    def _known(self, found: torch.Tensor, *, axis: int) -> torch.Tensor:
        """Keys [N, H, S, D], or scores [N, H, T, S], of places on `axis`: some heads' are of the one before.

        But for the first, before which there is none.
        """
        if not self._induction:
            return found
        own, before = found[:, self._induction :], found[:, : self._induction]
        first, rest = (before[:, :, :1], before[:, :, :-1]) if axis == 2 else (before[..., :1], before[..., :-1])
        return torch.cat([torch.cat([first, rest], dim=axis), own], dim=1)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the tokens of a step are.

    Their queries and keys are turned by `turn`, their keys and values go into the `cells` int64 [N, 2 H, T, D] of a
    cache, and `mask` [N, 1, G T, C] is added to scores: nothing is seen of what comes after.
    """

    turn: Turn
    cells: torch.Tensor
    mask: torch.Tensor


class Layer(nn.Module):
    """Attention, then a feed-forward part, each added to what came in and normalised before."""

    def __init__(self, config: DecoderConfig, feed: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.before_feed = nn.LayerNorm(config.width)
        self.feed = feed_forward(config.width, feed)

    def forward(self, x: torch.Tensor, turn: Turn) -> torch.Tensor:
        """`x` [N, T, W] after the layer, where nothing came before."""
        return self._feed(x + self.attention(self.before_attention(x), turn))

    def step(self, x: torch.Tensor, cache: torch.Tensor, places: Places) -> tuple[torch.Tensor, torch.Tensor]:
        """`x` [N, T, W] after the layer, and its `cache` [N, 2 H, C, D] with what it knows of them."""
        found, cache = self.attention.step(self.before_attention(x), cache, places)
        return self._feed(x + found), cache

    def _feed(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.feed(self.before_feed(x))
        return found


class Decoder(nn.Module):
    """Token ids to logits of the token that follows each."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.layers = nn.ModuleList(Layer(config, feed) for feed in config.feed_widths)
        self.norm = nn.LayerNorm(config.width)
        initialise_transformer(self, layers=config.layers, added=("attention.out.weight", "feed.2.weight"))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """`ids` int64 [N, T], T at most the context, to logits [N, T, V]."""
        x = self.tokens(ids)
        turn = self._turn(torch.arange(ids.shape[1], device=ids.device)[None])
        for layer in self.layers:
            x = layer(x, turn)
        return self._logits(x)

    def step(
        self, ids: torch.Tensor, past: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The next tokens `ids` int64 [N, T] of N sequences, of which `past` [N, L, 2, H, C, D] holds what was before.

        `position` int64 [N, 1] says how many of the C positions are filled, row by row. Returns logits [N, T, V], the
        cache with T positions more, and `position` + T, which is at most C. A row that says what can't be (an id that
        there isn't, a place beyond the context) gets an answer without meaning, and its batch-mates theirs.
        """
        config = self.config
        order = torch.arange(ids.shape[1])
        at = (position + order).clamp(0, config.context - 1)  # [N, T]
        unseen = torch.where(torch.arange(config.context) <= at[:, :, None], 0.0, -torch.inf)  # [N, T, C]
        places = Places(
            turn=self._turn(at),
            cells=at[:, None, :, None] + torch.zeros(2 * config.cache_heads, 1, config.size_of_head, dtype=torch.int64),
            mask=torch.cat([unseen] * (config.heads // config.cache_heads), dim=1)[:, None],
        )
        x = self.tokens(ids.clamp(0, config.vocabulary - 1))
        caches = list(torch.split(past.flatten(1, 3), 2 * config.cache_heads, dim=1))
        for number, layer in enumerate(self.layers):
            x, caches[number] = layer.step(x, caches[number], places)  # type: ignore[operator] # are modules
        # Put together last: a view of it would be one more copy of all that is cached.
        one = (ids.shape[0], 1, *config.cache_shape[1:])
        kept = [cache.view(one) for cache in caches]
        return self._logits(x), torch.cat(kept, dim=1), position + order.shape[0]

    def _turn(self, places: torch.Tensor) -> Turn:
        """How far each pair of a head's numbers is turned at `places` [N, T]; sines are negative for its first one."""
        pairs = self.config.size_of_head // 2
        speeds = SLOWEST ** (-torch.arange(pairs, device=places.device) / pairs)
        angles = places[:, :, None, None] * torch.cat([-speeds, speeds])
        return angles.cos(), angles.sin()

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.norm(x), self.tokens.weight)


def _turned(x: torch.Tensor, turn: Turn, pairs: int) -> torch.Tensor:
    """`x` [N, T, H, D], each pair of numbers turned: one of the first half of D and one of the second are one."""
    cosines, sines = turn
    return x * cosines + torch.cat([x[..., pairs:], x[..., :pairs]], dim=-1) * sines


def build(config: DecoderConfig, seed: int) -> Decoder:
    """A network with random weights, the same for the same seed whatever else draws from torch."""
    with seeded(seed):
        return Decoder(config)
