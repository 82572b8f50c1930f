"""A transformer encoder for texts: every token sees every other, on both sides.

Sources: A. Vaswani et al., "Attention Is All You Need", 2017; learned places, GELU and both sides, J. Devlin et al.,
"BERT", 2019, arXiv 1810.04805; normalisation before each part, R. Xiong et al., "On Layer Normalization in the
Transformer Architecture", 2020, arXiv 2002.04745; a text as the mean of its tokens, N. Reimers, I. Gurevych,
"Sentence-BERT", 2019, arXiv 1908.10084; rotary places, J. Su et al., "RoFormer", 2021, arXiv 2104.09864.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional

from training.networks.checks import check_choice, check_counts, check_dropout, check_layers
from training.networks.layers import WIDENING, feed_forward, initialise_transformer

Head = Literal["text", "tokens", "embedding"]
Places = Literal["learnt", "rotary"]
SLOWEST = 1000.0
"""Tokens, by about which the slowest of rotary pairs turns by 1: texts here are shorter."""


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """All there is to know to build the network, weights apart.

    The `head` answers logits of `classes` for the `text` or for each of its `tokens`, or an `embedding` of the text:
    `width` numbers of unit length. `heads` share the `width`. Each of the `places` in a text is `learnt`, or queries
    and keys are turned by it (`rotary`), so that attention goes by how far apart tokens are: what one means to its
    neighbour is learnt once, and not at every place. `vocabulary` and `length`, the most tokens of a text, are the
    data's to decide; token 0 is padding.

    A network that was made smaller says more: `head_size` numbers of each head, where 0 is the `width` over `heads`,
    and for each layer its heads, `layer_heads`, and the width of its feed-forward part, `feeds`, which is 0 where it
    has none; empty means `heads` for all, and four times the `width`.
    """

    layers: int = 2
    width: int = 128
    heads: int = 4
    dropout: float = 0.1
    head: Head = "text"
    places: Places = "learnt"
    head_size: int = 0
    layer_heads: tuple[int, ...] = ()
    feeds: tuple[int, ...] = ()
    vocabulary: int = 1000
    length: int = 128
    classes: int = 2

    def __post_init__(self) -> None:
        check_counts(width=self.width, heads=self.heads, length=self.length, classes=self.classes)
        if self.layers < 0:
            raise ValueError("layers: must not be below 0; 0 answers by the tokens alone")
        check_choice("head", self.head, get_args(Head))
        check_dropout(self.dropout)
        if self.vocabulary < 2:
            raise ValueError("vocabulary: must be at least 2, since token 0 is padding")
        if self.head_size < 0 or (not self.head_size and self.width % self.heads):
            raise ValueError("width, heads: width must be a multiple of heads")
        check_layers(self.layers, layer_heads=self.layer_heads)
        check_layers(self.layers, least=0, feeds=self.feeds)
        check_choice("places", self.places, get_args(Places))
        if self.places == "rotary" and self.size_of_head % 2:
            raise ValueError("width, heads: width must be an even multiple of heads where places are rotary")

    @property
    def size_of_head(self) -> int:
        """How many numbers a query, a key or a value has."""
        return self.head_size or self.width // self.heads

    @property
    def shapes(self) -> tuple["LayerShape", ...]:
        """The layers in order."""
        size = self.size_of_head
        heads = self.layer_heads or (self.heads,) * self.layers
        feeds = self.feeds or (WIDENING * self.width,) * self.layers
        return tuple(
            LayerShape(heads=count, head_size=size, feed=feed) for count, feed in zip(heads, feeds, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One layer of a config: its heads, the numbers of each, and the width of its feed-forward part, 0 without one."""

    heads: int
    head_size: int
    feed: int


class Layer(nn.Module):
    """Attention, then a feed-forward part if there is one, each added to what came in and normalised before."""

    def __init__(self, config: EncoderConfig, shape: LayerShape) -> None:
        super().__init__()
        self._heads = shape.heads
        self._size = shape.head_size
        self._dropout = config.dropout
        self.before_attention = nn.LayerNorm(config.width)
        self.query_key_value = nn.Linear(config.width, 3 * shape.heads * shape.head_size)
        self.mix = nn.Linear(shape.heads * shape.head_size, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.feed: nn.Sequential | None = None
        if shape.feed:
            self.before_feed = nn.LayerNorm(config.width)
            self.feed = feed_forward(config.width, shape.feed)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, turn: torch.Tensor | None) -> torch.Tensor:
        """`x` [N, T, W] after it. `mask` [N, 1, 1, T] is added to scores; by `turn` queries and keys are turned."""
        x = x + self.dropout(self.mix(self._attend(self.before_attention(x), mask, turn)))
        if self.feed is not None:
            x = x + self.dropout(self.feed(self.before_feed(x)))
        return x

    def _attend(self, x: torch.Tensor, mask: torch.Tensor, turn: torch.Tensor | None) -> torch.Tensor:
        rows, length, _ = x.shape
        parts = self.query_key_value(x).view(rows, length, 3, self._heads, self._size).permute(2, 0, 3, 1, 4)
        if turn is None:
            query, key, value = parts.unbind()
        else:
            (query, key), value = _turned(parts[:2], turn).unbind(), parts[2]
        dropout = self._dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        return mixed.transpose(1, 2).flatten(2)  # [N, H, T, D] to [N, T, H * D]


class Encoder(nn.Module):
    """Token ids to logits, or to an embedding. `config` is what it was built from."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.width)
        self.places = nn.Embedding(config.length, config.width) if config.places == "learnt" else None
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config, shape) for shape in config.shapes)
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.width if config.head == "embedding" else config.classes)
        initialise_transformer(self, layers=config.layers, added=("mix.weight", "feed.2.weight"))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """`ids` int64 [N, T], T at most the length, to float32.

        That is logits [N, classes] of the text, or [N, T, classes] of its tokens, or unit vectors [N, W]. Padding
        changes no answer; what is answered at padding means nothing.
        """
        there = _there(ids)
        mask = torch.where(there, 0.0, torch.finfo(torch.float32).min)[:, None, None]
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.tokens(ids)
        if self.places is not None:
            x = x + self.places(places)
        x = self.dropout(x)
        turn = None if self.places is not None else turn_at(places, self.config.size_of_head)
        for layer in self.layers:
            x = layer(x, mask, turn)
        x = self.norm(x)
        if self.config.head == "tokens":
            return self._answer(x)
        share = there.float() / there.sum(dim=1, keepdim=True)  # [N, T]
        answer = self._answer((share[:, None] @ x)[:, 0])
        return functional.normalize(answer) if self.config.head == "embedding" else answer

    def _answer(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.head(x)
        return answer


def turn_at(places: torch.Tensor, size: int) -> torch.Tensor:
    """Cosines and sines [2, T, D / 2] of the angles by which heads of that size are turned at `places` [T]."""
    pairs = size // 2
    rates = SLOWEST ** (-torch.arange(pairs, device=places.device) / pairs)
    angles = places[:, None] * rates
    return torch.stack([angles.cos(), angles.sin()])


def _turned(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """`x` [..., T, D], its pairs of numbers turned by their places: products of two go by how far apart they are."""
    cosines, sines = turn
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, first * sines + second * cosines], dim=-1)


def _there(ids: torch.Tensor) -> torch.Tensor:
    """Which of `ids` int64 [N, T] are no padding, bool [N, T]; of an empty text the first is taken for a token."""
    there = ids != 0
    first = torch.arange(ids.shape[1], device=ids.device) == 0
    return there | (first & ~there.any(dim=1, keepdim=True))
