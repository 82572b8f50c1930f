"""Reports as runs make them, by hand: four variants of which one is slower and one worse than its parent."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from service.artifact.card import Machine
from training.data.split import Dataset, Split
from training.evaluate import Measured, Mistake
from training.fitted import Epoch, Fitted
from training.gain import Gain
from training.recipe import Recipe
from training.report import Report
from training.statistics import class_scores, compare, confusion, share
from training.steps.learning import Facts
from training.timing import Latency
from training.verdict import Budget, choose

MACHINE = Machine(
    architecture="x86_64",
    cpu="AMD EPYC 9R14",
    cores=2,
    cpu_flags=("avx2", "avx512_vnni"),
    versions={"python": "3.11.2", "onnxruntime": "1.31.1"},
)
BUDGET = Budget(max_accuracy_drop=0.02, min_accuracy=0.9, min_speedup=1.5, min_shrink=2.0)
SIZES = {"teacher": 1_203_114, "student": 462_007, "pruned": 301_555, "int8": 131_072}
PARENTS = {"teacher": None, "student": "teacher", "pruned": "teacher", "int8": "student"}
WRONG = {"teacher": 88, "student": 98, "pruned": 380, "int8": 101}
SKIPPED = {"teacher": 0, "student": 30, "pruned": 5, "int8": 28}
COMPUTE = {"teacher": 0.6614, "student": 0.2983, "pruned": 0.1876, "int8": 0.3307}
CLASSES = tuple("0123456789")
VIEWS = 8
REQUESTS = {"1": 2000, "8": 240, "32": 60}
FITS = {"teacher": 16, "student": 24, "prune-1": 2, "prune-2": 1, "fine-tune": 14}


def dataset() -> Dataset:
    """Noise for pictures: 450 sources to test on, seen eight times each, and few to train on."""
    return Dataset(train=split(100, 1), validation=split(50, VIEWS), test=split(450, VIEWS), classes=CLASSES)


def split(sources: int, views: int) -> Split:
    """So many views of so many sources, all classes in turn."""
    numbers = np.repeat(np.arange(sources), views)
    images = np.random.default_rng(sources).integers(0, 256, (len(numbers), 1, 16, 16), dtype=np.uint8)
    return Split(inputs=images, targets=numbers % len(CLASSES), sources=numbers)


def report(
    recipe: Recipe, dataset: Dataset, *, budget: Budget = BUDGET, only: tuple[str, ...] = tuple(SIZES)
) -> Report:
    """A report on the variants `only`, judged by `budget`."""
    variants = {f"digits-{one}": measured(one, dataset) for one in only}
    return Report(
        recipe=replace(recipe, about="Handwritten digits, residual CNN", budget=budget),
        fits={step: fitted(epochs, seed) for seed, (step, epochs) in enumerate(FITS.items())},
        networks=networks(),
        variants=variants,
        baselines={
            name: share(np.arange(len(dataset.test)) % every == 0, dataset.test.sources)
            for name, every in (("majority class", 9), ("logistic regression", 2))
        },
        verdict=choose(variants, budget),
        machine=MACHINE,
        commit="38a636b9a6e7+",
    )


def answers(variant: str, dataset: Dataset) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """What a variant says of every test image: descendants repeat most of their teacher's errors, and add some."""
    labels = dataset.test.targets
    order = np.random.default_rng(3).permutation(len(labels))[SKIPPED[variant] :][: WRONG[variant]]
    said = labels.copy()
    said[order] = np.where(labels[order] < 6, (labels[order] + 3) % 10, 8 - (labels[order] == 8) * 5)
    return said


def measured(variant: str, dataset: Dataset) -> Measured:
    """The figures of one variant."""
    parent, labels, said = PARENTS[variant], dataset.test.targets, answers(variant, dataset)
    right = said == labels
    counts = confusion(labels, said, len(dataset.classes))
    compute = {size: COMPUTE[variant] * int(size) ** 0.8 for size in ("1", "8", "32")}
    rates = {size: int(size) / (time + 0.4) * 1e3 for size, time in compute.items()}
    return Measured(
        parent=None if parent is None else f"digits-{parent}",
        size=SIZES[variant],
        accuracy=share(right, dataset.test.sources),
        classes=class_scores(counts, dataset.classes),
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
        against_parent=None
        if parent is None
        else compare(right, answers(parent, dataset) == labels, dataset.test.sources),
        mistakes=tuple(
            Mistake(image=int(at), label=int(labels[at]), answer=int(said[at]), confidence=0.97 - i / 30, truth=0.02)
            for i, at in enumerate(np.flatnonzero(~right)[:12])
        ),
        latency_ms={
            size: Latency(p50=time + 0.35, p99=time * 1.6 + 0.9, count=REQUESTS[size]) for size, time in compute.items()
        },
        compute_ms=compute,
        images_per_second=rates,
        best_batch=32,
        over_parent=None if parent is None else gain(variant, parent),
        over_teacher=None if parent is None else gain(variant, "teacher"),
    )


def gain(variant: str, other: str) -> Gain:
    """How many times as good a variant is."""
    compute = COMPUTE[other] / COMPUTE[variant]
    return Gain(
        size=SIZES[other] / SIZES[variant], compute=compute, latency=(compute + 1) / 2, throughput=compute * 0.98
    )


def networks() -> Mapping[str, Facts]:
    """What the networks are."""
    return {
        "teacher": facts(None, ("teacher",), {"stage0": 64, "inner0": 64, "stage1": 96}, 301_450, 14_912_768, 0.976),
        "student": facts("teacher", ("student",), {"stage0": 32, "inner0": 32, "stage1": 64}, 98_410, 5_118_002, 0.965),
        "pruned": facts(
            "teacher",
            ("prune-1", "prune-2", "fine-tune"),
            {"stage0": 32, "inner0": 16, "stage1": 48},
            74_002,
            3_700_000,
            0.9591,
        ),
    }


def facts(
    parent: str | None, steps: tuple[str, ...], widths: dict[str, int], parameters: int, adds: int, accuracy: float
) -> Facts:
    """Facts by position."""
    return Facts(
        parent=parent,
        steps=steps,
        widths=widths,
        parameters=parameters,
        multiply_adds=adds,
        validation_accuracy=accuracy,
    )


def fitted(epochs: int, seed: int) -> Fitted:
    """A fit that learns, with noise."""
    random = np.random.default_rng(seed)
    losses = 2.2 * np.exp(-np.arange(epochs) / max(1, epochs / 5)) + 0.1 + random.random(epochs) * 0.1
    history = tuple(
        Epoch(number=i, train_loss=float(loss) * 1.2, validation={"loss": float(loss), "accuracy": 1 - float(loss) / 4})
        for i, loss in enumerate(losses)
    )
    return Fitted(epochs=history, best=int(losses.argmin()), train={"loss": 0.1, "accuracy": 0.97})
