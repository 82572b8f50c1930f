"""How much a text surprises a model: what its perplexity and its bits per byte are made of."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.bootstrap import DRAWS, Figure, Indices, Resampling, bootstrap, figure
from training.data.tokens import Ids
from training.errors import Immeasurable
from training.metrics.inputs import check
from training.networks.decoder import DecoderConfig
from training.session import Floats, Step
from training.statistics import Values
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


@dataclass(frozen=True, kw_only=True)
class LanguageFigures:
    """Of all texts of the test part together: see `Surprise`."""

    perplexity: Figure
    bits_per_byte: Figure


def measure(surprises: Sequence[Surprise], resampling: Resampling = DRAWS) -> LanguageFigures:
    """The figures of texts by what each cost, a text being a source. Raises Immeasurable if one has no token."""
    counts = np.array([(one.nats, one.tokens, one.bytes) for one in surprises], np.float64).reshape(-1, 3)
    check(np.arange(len(counts)), surprises=counts)
    if not counts[:, 1:].all():
        empty_one = int(np.argmin(counts[:, 1:].min(axis=1)))
        raise Immeasurable(f"surprises: text {empty_one} has no token to foretell; leave it out")

    def ratios(chosen: Indices) -> Values:
        cost, tokens, length = counts[chosen].sum(axis=0)
        return np.array([np.exp(cost / tokens), cost / math.log(2) / length])

    perplexity, bits = bootstrap(ratios, np.arange(len(counts)), resampling, bounds=(0.0, math.inf))
    return LanguageFigures(perplexity=figure(perplexity), bits_per_byte=figure(bits))


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
