"""A run as one page that needs nothing else: no script, font, picture or address outside of it.

`page.html.j2` says what is on it; here are the words and figures that it asks for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from training import plots
from training.data.split import Dataset
from training.diagnosis import diagnose
from training.drawing import MARKERS, SERIES
from training.evaluate import Measured
from training.pictures import of_image
from training.report import Report
from training.shown_fit import shown_fit
from training.statistics import Paired
from training.templates import FOLDER, embedded, fill
from training.verdict import SIGNIFICANT

TEMPLATE = FOLDER / "page.html.j2"

NOTABLE_LOSS = 0.01
"""A class that loses this much F1 against the teacher is marked."""

GAINS = (
    ("size", "file, times smaller", "larger"),
    ("compute", "computing one image, times as fast", "slower"),
    ("latency", "request of one image, times as fast", "slower"),
    ("throughput", "images per second, times as many", "slower"),
)
"""A field of Gain, what it is called, and the word for a figure below 1."""


def render(report: Report, dataset: Dataset) -> str:
    """The page, HTML; the same report gives the same page. `dataset` is the one that was measured on."""
    variants = report.variants
    title = "chosen" if report.verdict.goal_met else "nearest miss"
    return fill(
        TEMPLATE,
        report=report,
        chosen=variants[report.verdict.chosen],
        teacher=next(iter(variants.values())),
        teacher_name=next(iter(variants)),
        gains=GAINS,
        drawbacks={name: drawbacks(figures) for name, figures in variants.items()},
        worse=worse,
        batch_sizes=sorted(next(iter(variants.values())).latency_ms, key=int),
        classes=dataset.classes,
        notable_loss=NOTABLE_LOSS,
        most_confused=max(_off_diagonal(variants), default=0),
        markers=[sign for _, sign in MARKERS],
        colours=len(SERIES),
        title=title,
        pareto=plots.pareto(variants, report.verdict.chosen, title),
        front=plots.pareto_front(variants),
        latency=plots.latency(variants),
        throughput=plots.throughput(variants),
        fits=[shown_fit(step, fitted, diagnose(fitted)) for step, fitted in report.fits.items()],
        mistakes={name: list(_shown_mistakes(figures, dataset)) for name, figures in variants.items()},
        image_height=dataset.test.inputs.shape[2],
        image_width=dataset.test.inputs.shape[3],
        sources=len(np.unique(dataset.test.sources)),
        significant=SIGNIFICANT,
        images={"train": len(dataset.train), "validation": len(dataset.validation), "test": len(dataset.test)},
        data=embedded(report.to_json()),
    )


def worse(test: Paired | None) -> bool:
    """True when more images were lost to the parent than chance explains: the verdict's own rule."""
    return test is not None and test.only_first < test.only_second and test.p_value < SIGNIFICANT


def drawbacks(figures: Measured) -> list[str]:
    """What a variant does worse than its parent, in words: what the verdict looks at, and its size."""
    found = [f"worse than {figures.parent}"] if worse(figures.against_parent) else []
    gain = figures.over_parent
    if gain is not None:
        words = [word for field, _, word in GAINS if field != "latency" and getattr(gain, field) < 1]
        found += [f"{word} than {figures.parent}" for word in dict.fromkeys(words)]
    return found


@dataclass(frozen=True, kw_only=True)
class ShownMistake:
    """A wrong answer with its picture; the classes by their names."""

    image: int
    picture: str
    label: str
    answer: str
    confidence: float
    truth: float


def _shown_mistakes(figures: Measured, dataset: Dataset) -> Iterator[ShownMistake]:
    for one in figures.mistakes:
        yield ShownMistake(
            image=one.image,
            picture=of_image(dataset.test.inputs[one.image]),
            label=dataset.classes[one.label],
            answer=dataset.classes[one.answer],
            confidence=one.confidence,
            truth=one.truth,
        )


def _off_diagonal(variants: Mapping[str, Measured]) -> Iterator[int]:
    for figures in variants.values():
        for label, row in enumerate(figures.confusion):
            yield from (count for answer, count in enumerate(row) if answer != label)
