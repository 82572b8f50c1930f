"""How well embeddings find what is alike, and how well a few examples of a class suffice to know it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import DRAWS, Figure, Indices, Resampling, Statistic, bootstrap, figure
from training.data.split import Labels, Sources
from training.errors import Immeasurable
from training.metrics.distances import distances
from training.metrics.inputs import check
from training.statistics import Values

KS = (1, 5, 10)
Embeddings = NDArray[np.floating]
AT_ONCE = 256
"""Queries whose distances to all others are in memory together."""


@dataclass(frozen=True, kw_only=True)
class RetrievalFigures:
    """Of each of the test part asked against all of other sources.

    `recall` by k: the share that has one of its class among the k nearest. `map_at_r`: R being how many others there
    are of its class, the mean over the R nearest of the precision up to each that is right.
    """

    recall: Mapping[int, Figure]
    map_at_r: Figure


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """`count` drawn tasks of telling `ways` classes apart after `shots` examples of each, asked of `queries` more."""

    count: int = 200
    ways: int = 5
    shots: int = 5
    queries: int = 10

    def __post_init__(self) -> None:
        if min(self.count, self.ways) < 2 or min(self.shots, self.queries) < 1:
            raise ValueError("count, ways: must be at least 2; shots, queries: at least 1")


def measure(
    embeddings: Embeddings,
    labels: Labels,
    sources: Sources,
    ks: tuple[int, ...] = KS,
    resampling: Resampling = DRAWS,
) -> RetrievalFigures:
    """The figures of `embeddings` [N, D] with `labels` int64 [N], near being near by Euclidean distance.

    With embeddings of length 1 that ranks as the cosine does. The interval is that of other queries to the same others.
    Raises Immeasurable if a class has one source alone, or there are fewer others than the largest of `ks`.
    Source: K. Musgrave, S. Belongie, S.-N. Lim, "A Metric Learning Reality Check", ECCV 2020, for MAP@R.
    """
    check(sources, embeddings=embeddings, labels=labels)
    check_labels(labels, sources, ks)
    *recall, map_at_r = bootstrap(found(embeddings, labels, sources, ks), sources, resampling)
    return RetrievalFigures(
        recall={k: figure(one) for k, one in zip(ks, recall, strict=True)}, map_at_r=figure(map_at_r)
    )


def found(embeddings: Embeddings, labels: Labels, sources: Sources, ks: tuple[int, ...] = KS) -> Statistic:
    """Recall at each of `ks` and MAP@R of draws of queries, as `measure` has them: [len(ks) + 1]."""
    starts = range(0, len(labels), AT_ONCE)
    each = np.concatenate(
        [
            _asked(np.arange(start, min(start + AT_ONCE, len(labels))), embeddings, labels, sources, ks)
            for start in starts
        ]
    )

    def drawn(chosen: Indices) -> Values:
        means: Values = each[chosen].mean(axis=0)
        return means

    return drawn


def few_shot(embeddings: Embeddings, labels: Labels, sources: Sources, episodes: Episodes, seed: int = 0) -> Figure:
    """The mean accuracy of prototypes over `episodes` drawn by `seed`: each class is the mean of its examples.

    The interval is that of drawing other episodes from the same test part. Raises Immeasurable if there are too few
    classes, or too few of one. Source: J. Snell, K. Swersky, R. Zemel, "Prototypical Networks", NeurIPS 2017.
    """
    check(sources, embeddings=embeddings, labels=labels)
    check_episodes(labels, sources, episodes)
    members = _members(labels, sources)
    random = np.random.default_rng(seed)
    accuracy = np.array([_episode(embeddings, members, episodes, random) for _ in range(episodes.count)])
    numbers = np.arange(episodes.count)
    return figure(bootstrap(lambda chosen: np.asarray(accuracy[chosen].mean()), numbers, Resampling(seed=seed)))


def check_labels(labels: Labels, sources: Sources, ks: tuple[int, ...] = KS) -> None:
    """Raise Immeasurable unless there is of each class, and in all, what `measure` has to have."""
    for label in np.unique(labels):
        if len(np.unique(sources[labels == label])) < 2:
            raise Immeasurable(f"labels: class {label} has one source alone, so nothing of it can be found")
    if not 1 <= min(ks) <= max(ks) < len(labels):
        raise Immeasurable(f"ks: must be at least 1, and below the {len(labels)} of the test part")


def check_episodes(labels: Labels, sources: Sources, episodes: Episodes) -> None:
    """Raise Immeasurable unless there is of classes, and of each class, what `episodes` ask for."""
    members = _members(labels, sources)
    if len(members) < episodes.ways:
        raise Immeasurable(f"episodes.ways: {episodes.ways} are asked of {len(members)} classes; ask for fewer")
    needed = episodes.shots + episodes.queries
    for label, found in members.items():
        if len(found) < needed:
            asked = f"episodes.shots, queries: {episodes.shots} and {episodes.queries} are asked"
            raise Immeasurable(f"{asked}, and class {label} has {len(found)} sources; ask for fewer")


def _members(labels: Labels, sources: Sources) -> dict[int, Indices]:
    """Positions of each class, one view of each source, so that no query is a view of an example."""
    first = np.unique(sources, return_index=True)[1]
    return {label: first[labels[first] == label] for label in np.unique(labels).tolist()}


def _asked(queries: Indices, embeddings: Embeddings, labels: Labels, sources: Sources, ks: tuple[int, ...]) -> Values:
    """Of each query whether it finds its class among the k nearest, and its MAP@R: [Q, len(ks) + 1]."""
    far = distances(embeddings[queries], embeddings)
    far[sources[queries][:, None] == sources[None, :]] = np.inf
    nearest = np.argsort(far, axis=1, kind="stable")
    others = np.isfinite(np.take_along_axis(far, nearest, axis=1))
    right = (labels[nearest] == labels[queries][:, None]) & others
    wanted = right.sum(axis=1)
    places = np.arange(1, right.shape[1] + 1)
    within = places <= wanted[:, None]
    precisions = np.cumsum(right, axis=1) / places
    map_at_r = (precisions * right * within).sum(axis=1) / wanted
    return np.stack([*(right[:, :k].any(axis=1) for k in ks), map_at_r], axis=1).astype(np.float64)


def _episode(
    embeddings: Embeddings, members: dict[int, Indices], episodes: Episodes, random: np.random.Generator
) -> float:
    ways = random.choice(sorted(members), episodes.ways, replace=False)
    drawn = [random.permutation(members[way])[: episodes.shots + episodes.queries] for way in ways]
    prototypes = np.stack([embeddings[one[: episodes.shots]].mean(axis=0) for one in drawn])
    queries = np.concatenate([embeddings[one[episodes.shots :]] for one in drawn])
    answers = distances(queries, prototypes).argmin(axis=1)
    return float((answers == np.repeat(np.arange(episodes.ways), episodes.queries)).mean())
