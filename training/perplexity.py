"""How much a text surprises a model: what its perplexity and its bits per byte are made of."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from training.data.tokens import Ids
from training.networks.decoder import DecoderConfig
from training.session import Floats, Step
from training.stepwise import empty


@dataclass(frozen=True, kw_only=True)
class Surprise:
    """What foretelling a text cost: `nats` for `tokens`, which are `bytes` of text.

    Perplexities are comparable among models with the same tokens only, bits per byte among all.
    """

    nats: float
    tokens: int
    bytes: int

    @property
    def perplexity(self) -> float:
        """Among how many equally probable tokens the model has to choose, on the average."""
        return math.exp(self.nats / self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """What a byte of the text would take if the model compressed it."""
        return self.nats / math.log(2) / self.bytes


def total(surprises: Iterable[Surprise]) -> Surprise:
    """The surprise of all texts together."""
    found = list(surprises)
    return Surprise(
        nats=sum(one.nats for one in found),
        tokens=sum(one.tokens for one in found),
        bytes=sum(one.bytes for one in found),
    )


def nats(step: Step, ids: Ids, config: DecoderConfig) -> float:
    """What every token of `ids` int64 [M] but the first costs a decoder, in all.

    A text that is longer than the context is read in windows that overlap by half, so that each token but the first
    few is foretold from half a context at least.
    """
    cost, begin, done = 0.0, 0, 0
    while done < len(ids) - 1:
        end = min(begin + config.context, len(ids) - 1)
        past, position = empty(config, 1)
        logits, _, _ = step(ids[None, begin:end], past, position)
        cost += float(_costs(logits[0], ids[begin + 1 : end + 1])[done - begin :].sum())
        done, begin = end, end - config.context // 2
    return cost


def _costs(logits: Floats, following: Ids) -> Floats:
    """Of logits [T, V] and what did follow, int64 [T]: minus the logarithm of its probability, [T]."""
    largest = logits.max(axis=1, keepdims=True)
    sums = np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0]
    found: Floats = sums - logits[np.arange(len(following)), following]
    return found
