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

    def project(self, x: torch.Tensor, turn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`x` [N, T, W] as queries [N, H, G, T, D] and keys and values [2, N, H, T, D].

        Queries and keys are turned by `turn` [2, N or 1, T, D].
        """
        rows, length, _ = x.shape
        query = self.query(x).view(rows, length, self._heads, self._group, self._size).permute(0, 2, 3, 1, 4)
        pair = self.key_value(x).view(rows, length, 2, self._heads, self._size).permute(2, 0, 3, 1, 4)
        return _turned(query, turn[:, :, None, None]), torch.stack([_turned(pair[0], turn[:, :, None]), pair[1]])

    def among(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Queries [N, H, G, T, D] of the keys and values [N, H, T, D] of the same tokens: [N, T, W].

        The same as `attend` with nothing before, by a kernel that keeps no scores: forward and back, 8 windows of 256
        took 17 ms where it took 38 (measured once).
        """
        shape = query.shape
        key, value = (one[:, :, None].expand(shape).flatten(1, 2) for one in (self._known(key), value))
        mixed = functional.scaled_dot_product_attention(query.flatten(1, 2), key, value, is_causal=True)
        return self._join(mixed.view(shape))

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, visible: torch.Tensor
    ) -> torch.Tensor:
        """Queries [N, H, G, T, D] of keys and values [N, H, S, D] where `visible` [N, T, S]: [N, T, W]."""
        key = self._known(key)
        rows, length = query.shape[0], query.shape[3]
        # Those of one head are multiplied as one matrix: keys aren't copied for each of a group.
        flat = query.reshape(rows, self._heads, self._group * length, self._size) / math.sqrt(self._size)
        scores = (flat @ key.transpose(-2, -1)).view(rows, self._heads, self._group, length, -1)
        scores = scores.masked_fill(~visible[:, None, None], -torch.inf)
        weights = torch.softmax(scores, dim=-1).view(rows, self._heads, self._group * length, -1)
        return self._join((weights @ value).view(rows, self._heads, self._group, length, self._size))

    def _known(self, key: torch.Tensor) -> torch.Tensor:
        """Keys [N, H, S, D] by which tokens are found: some heads' are of the token before, but for the first."""
        if not self._induction:
            return key
        own, before = key[:, self._induction :], key[:, : self._induction]
        return torch.cat([torch.cat([before[:, :, :1], before[:, :, :-1]], dim=2), own], dim=1)

    def _join(self, mixed: torch.Tensor) -> torch.Tensor:
        """What all heads found, [N, H, G, T, D], side by side and mixed: [N, T, W]."""
        found: torch.Tensor = self.out(mixed.permute(0, 3, 1, 2, 4).flatten(2))
        return found


class Layer(nn.Module):
    """Attention, then a feed-forward part, each added to what came in and normalised before."""

    def __init__(self, config: DecoderConfig, feed: int) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(config.width)
        self.attention = Attention(config)
        self.before_feed = nn.LayerNorm(config.width)
        self.feed = feed_forward(config.width, feed)

    def forward(self, x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        """`x` [N, T, W] after the layer, where nothing came before."""
        query, new = self.attention.project(self.before_attention(x), turn)
        return self._feed(x + self.attention.among(query, new[0], new[1]))

    def step(
        self, x: torch.Tensor, turn: torch.Tensor, cache: torch.Tensor, places: torch.Tensor, visible: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`x` [N, T, W] after the layer, and the `cache` [N, 2, H, C, D] with its keys and values at `places` [N, T].

        `visible` [N, T, C] says which places each position sees.
        """
        query, new = self.attention.project(self.before_attention(x), turn)
        pair = new.transpose(0, 1)  # [N, 2, H, T, D]
        cache = cache.scatter(3, places[:, None, None, :, None].expand_as(pair), pair)
        return self._feed(x + self.attention.attend(query, cache[:, 0], cache[:, 1], visible)), cache

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
        order = torch.arange(ids.shape[1])
        places = (position + order).clamp(0, self.config.context - 1)  # [N, T]
        visible = torch.arange(self.config.context) <= places[:, :, None]  # [N, T, C]
        x = self.tokens(ids.clamp(0, self.config.vocabulary - 1))
        turn = self._turn(places)
        caches = []
        for number, layer in enumerate(self.layers):
            x, cache = layer.step(x, turn, past[:, number], places, visible)  # type: ignore[operator] # are modules
            caches.append(cache)
        return self._logits(x), torch.stack(caches, dim=1), position + order.shape[0]

    def _turn(self, places: torch.Tensor) -> torch.Tensor:
        """Cosine and sine, [2, N, T, D], of how far each pair of a head's D numbers is turned at `places` [N, T]."""
        pairs = self.config.size_of_head // 2
        speeds = SLOWEST ** (-torch.arange(pairs, device=places.device) / pairs)
        angles = (places[:, :, None] * speeds).repeat(1, 1, 2)
        return torch.stack([angles.cos(), angles.sin()])

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.norm(x), self.tokens.weight)


def _turned(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """`x` [..., D], the first half of D paired with the second, each pair turned by its angle."""
    first, second = x.chunk(2, dim=-1)
    return x * turn[0] + torch.cat([-second, first], dim=-1) * turn[1]


def build(config: DecoderConfig, seed: int) -> Decoder:
    """A network with random weights, the same for the same seed whatever else draws from torch."""
    with seeded(seed):
        return Decoder(config)
