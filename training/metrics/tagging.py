"""How well the tokens of texts are tagged, and the spans that BIO tags stand for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.bootstrap import DRAWS, Averaged, Figure, Indices, Resampling, averaged, bootstrap, figure, with_mean
from training.data.split import NO_TAG, Labels, Sources
from training.errors import Immeasurable
from training.metrics.inputs import check, check_labels, check_present, check_shape
from training.statistics import Share, Values, scores, share, tally

OUTSIDE = "O"
Span = tuple[str, int, int]
"""Of what, and from which token to which, the last one left out."""


@dataclass(frozen=True, kw_only=True)
class SpanFigures:
    """Of all spans together; one is right if kind, beginning and end are."""

    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True, kw_only=True)
class TaggingFigures:
    """`accuracy` is the share of tokens with the right tag, `f1` that of each tag; `spans` is None without BIO tags."""

    accuracy: Share
    f1: Averaged
    spans: SpanFigures | None


def measure(
    predictions: Labels, targets: Labels, sources: Sources, tags: tuple[str, ...], resampling: Resampling = DRAWS
) -> TaggingFigures:
    """The figures of `predictions` int64 [N, T] for `targets` int64 [N, T], where -100 isn't counted.

    Raises Immeasurable if no token has a tag, or BIO tags stand for no span.
    Source of the rules for spans: E. F. Tjong Kim Sang, F. De Meulder, "Introduction to the CoNLL-2003 Shared Task".
    """
    check(sources, predictions=predictions, targets=targets)
    check_shape(predictions, targets)
    counted = targets != NO_TAG
    check_labels(tags, gaps=True, targets=targets)
    check_labels(tags, predictions=np.where(counted, predictions, 0))
    tallies = tally(predictions, targets, len(tags))
    check_present(tallies[:, 2].sum(axis=0), tags, 1)

    def by_tag(chosen: Indices) -> Values:
        return with_mean(scores(*tallies[chosen].sum(axis=0))[2])

    return TaggingFigures(
        accuracy=share((predictions == targets)[counted], np.repeat(sources, counted.sum(axis=1))),
        f1=averaged(bootstrap(by_tag, sources, resampling), tags),
        spans=_spans(predictions, targets, sources, tags, resampling) if is_bio(tags) else None,
    )


def is_bio(tags: tuple[str, ...]) -> bool:
    """True when tags are O and, for whatever there is, B-thing where it begins and I-thing where it goes on."""
    return OUTSIDE in tags and len(tags) > 1 and all(tag == OUTSIDE or tag[:2] in ("B-", "I-") for tag in tags)


def spans(tags: list[str]) -> Iterator[Span]:
    """What the BIO `tags` of a text stand for; an I that goes on with nothing begins a span, as CoNLL counts."""
    kind, start = OUTSIDE, 0
    for at, tag in enumerate([*tags, OUTSIDE]):
        if kind != OUTSIDE and tag != f"I-{kind}":
            yield kind, start, at
            kind = OUTSIDE
        if kind == OUTSIDE and tag != OUTSIDE:
            kind, start = tag[2:], at


def _spans(
    predictions: Labels, targets: Labels, sources: Sources, tags: tuple[str, ...], resampling: Resampling
) -> SpanFigures:
    counts = np.zeros((len(targets), 3, 1), np.int64)  # right, said and there, of all kinds together
    for row, said, true in zip(counts, predictions, targets, strict=True):
        counted = true != NO_TAG
        found, wanted = (set(spans([tags[one] for one in part[counted]])) for part in (said, true))
        row[:, 0] = len(found & wanted), len(found), len(wanted)
    if not counts[:, 2].any():
        raise Immeasurable("targets: the BIO tags of the test part stand for no span, so none can be found")

    def of_all(chosen: Indices) -> Values:
        return scores(*counts[chosen].sum(axis=0))[:, 0]

    precision, recall, f1 = bootstrap(of_all, sources, resampling)
    return SpanFigures(precision=figure(precision), recall=figure(recall), f1=figure(f1))
