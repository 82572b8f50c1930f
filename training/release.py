"""Turns variants and their figures into releases: what is published under which name, and what each card says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.data import digits
from training.data.split import Dataset, Split
from training.evaluate import Measured
from training.export import INPUT, OUTPUT
from training.gain import ITSELF
from training.graph import tensors_in
from training.machine import machine
from training.model_config import LABELS, model_config
from training.publish import Golden, Release
from training.recipe import Recipe
from training.session import open_session
from training.verdict import Verdict

GOLDEN_IMAGES = 8


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One form of the family's network: the file, and the name of the model that it was made from."""

    family: str
    variant: str
    parent: str | None
    model: Path

    @property
    def name(self) -> str:
        """The name it is published under."""
        return f"{self.family}-{self.variant}"


def unmeasured(variant: Variant, recipe: Recipe, dataset: Dataset) -> Release:
    """The release that figures are to be taken from: complete, but with a card that proves nothing yet."""
    return _release(variant, recipe, dataset, name=variant.name, metrics={}, evidence={})


def measured(
    variants: Sequence[Variant],
    recipe: Recipe,
    dataset: Dataset,
    figures: Mapping[str, Measured],
    verdict: Verdict,
) -> list[Release]:
    """A release of every variant under its own name, and of the chosen one again under the family's."""
    releases = {}
    for variant in variants:
        one = figures[variant.name]
        evidence = _evidence(one, recipe, dataset, verdict.reasons[variant.name])
        releases[variant.name] = _release(
            variant, recipe, dataset, name=variant.name, metrics=_metrics(one), evidence=evidence
        )
    best = next(variant for variant in variants if variant.name == verdict.chosen)
    proof = releases[best.name]
    chosen = _release(
        best, recipe, dataset, name=recipe.family, chosen=best.name, metrics=proof.metrics, evidence=proof.evidence
    )
    # The family's name comes last: it changes when everything that it refers to is there.
    return [*releases.values(), chosen]


def golden_positions(split: Split) -> NDArray[np.int64]:
    """Which images are golden samples: at most eight, each of another source, in turn of another class.

    Every source is there by its first view. The first sources of all classes come first, in the order of labels.
    """
    first = np.sort(np.unique(split.sources, return_index=True)[1])
    labels = split.targets[first]
    turn = [np.count_nonzero(labels[:index] == label) for index, label in enumerate(labels)]
    return first[np.lexsort((labels, turn))][:GOLDEN_IMAGES]


def _release(
    variant: Variant,
    recipe: Recipe,
    dataset: Dataset,
    *,
    name: str,
    metrics: Mapping[str, float],
    evidence: Mapping[str, Any],
    chosen: str | None = None,
) -> Release:
    images = dataset.test.inputs[golden_positions(dataset.test)]
    return Release(
        name=name,
        model=variant.model,
        config=model_config(
            tensors_in(variant.model), name=name, family=variant.family, variant=variant.variant, labels=(OUTPUT,)
        ),
        beside={LABELS: "".join(f"{label}\n" for label in dataset.classes).encode()},
        inside={},
        golden=Golden(inputs={INPUT: images}, outputs={OUTPUT: open_session(variant.model)(images)}),
        family=variant.family,
        variant=variant.variant,
        parent=variant.parent,
        chosen=chosen,
        metrics=metrics,
        evidence=evidence,
        transforms={INPUT: digits.transforms(recipe.data)},
        machine=machine(),
    )


def _metrics(figures: Measured) -> dict[str, float]:
    """Single figures in base units, fit for a gauge; speed-ups and shrink are against the teacher."""
    f1 = [score.f1 for score in figures.classes.values()]
    gain = figures.over_teacher or ITSELF
    return {
        "accuracy": figures.accuracy.value,
        "accuracy_low": figures.accuracy.low,
        "accuracy_high": figures.accuracy.high,
        "f1_macro": sum(f1) / len(f1),
        "latency_p50_seconds": figures.latency_ms["1"].p50 / 1e3,
        "latency_p99_seconds": figures.latency_ms["1"].p99 / 1e3,
        "compute_seconds": figures.compute_ms["1"] / 1e3,
        "images_per_second": figures.throughput,
        "speedup_compute": gain.compute,
        "speedup_throughput": gain.throughput,
        "shrink": gain.size,
    }


def _evidence(figures: Measured, recipe: Recipe, dataset: Dataset, reason: str) -> dict[str, Any]:
    """How the metrics were obtained, as plain JSON."""
    paired = figures.against_parent
    return {
        "measured": "through the service over HTTP, binary tensors, one client; variants interleaved on the same cores",
        "recipe": {"name": recipe.name, "profile": recipe.profile, "seed": recipe.seed},
        "images": {"train": len(dataset.train), "validation": len(dataset.validation), "test": len(dataset.test)},
        "sources": {"test": len(np.unique(dataset.test.sources))},
        "accuracy": {**asdict(figures.accuracy), "interval": "Wilson at the effective number of images, 95 %"},
        "against_parent": None
        if paired is None
        else {**asdict(paired), "test": "sign flips by source, exact, two-sided"},
        "classes": {name: asdict(score) for name, score in figures.classes.items()},
        "confusion": [list(row) for row in figures.confusion],
        "mistakes": [asdict(mistake) for mistake in figures.mistakes],
        "latency_ms": {size: asdict(latency) for size, latency in figures.latency_ms.items()},
        "compute_ms": dict(figures.compute_ms),
        "images_per_second": dict(figures.images_per_second),
        "over_parent": None if figures.over_parent is None else asdict(figures.over_parent),
        "over_teacher": None if figures.over_teacher is None else asdict(figures.over_teacher),
        "best_batch": figures.best_batch,
        "verdict": reason,
    }
