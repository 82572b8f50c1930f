"""A run as one page that needs nothing else: no script, font, picture or address outside of it.

`page.html.j2` says what is on it and `page.css` how it looks; here are the words and figures that they ask for.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from training import plots
from training.data.split import Dataset, Images
from training.evaluate import Measured
from training.fit import Fitted
from training.report import Report
from training.statistics import Paired
from training.verdict import SIGNIFICANT

FOLDER = Path(__file__).parent
TEMPLATE, STYLE = FOLDER / "page.html.j2", FOLDER / "page.css"

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
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "megabytes": megabytes, "times": times, "chance": chance}
    variants = report.variants
    title = "chosen" if report.verdict.goal_met else "nearest miss"
    return environment.get_template(TEMPLATE.name).render(
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
        markers=[sign for _, sign in plots.MARKERS],
        colours=len(plots.SERIES),
        title=title,
        pareto=Markup(plots.pareto(variants, report.verdict.chosen, title)),  # noqa: S704 - plots escape what they write
        front=plots.pareto_front(variants),
        latency=Markup(plots.latency(variants)),  # noqa: S704
        throughput=Markup(plots.throughput(variants)),  # noqa: S704
        curves=[_curve(step, fitted) for step, fitted in report.fits.items()],
        mistakes={name: list(_shown_mistakes(figures, dataset)) for name, figures in variants.items()},
        image_height=dataset.test.images.shape[2],
        image_width=dataset.test.images.shape[3],
        sources=len(np.unique(dataset.test.sources)),
        significant=SIGNIFICANT,
        images={"train": len(dataset.train), "validation": len(dataset.validation), "test": len(dataset.test)},
        settings=yaml.safe_dump(msgspec.to_builtins(report.recipe), sort_keys=False, allow_unicode=True),
        data=embedded(report),
    )


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 in percent, without the sign."""
    return f"{share * 100:.{digits}f}"


def megabytes(size: int) -> str:
    """Bytes in MB, with more digits for little files."""
    return f"{size / 1e6:.{2 if size >= 100_000 else 3}f}"


def times(factor: float) -> str:
    """A factor; one below 1 never looks like 1."""
    text = f"{factor:.2f}"
    return f"{factor:.6f}".rstrip("0") if text == "1.00" and factor < 1 else text


def chance(p_value: float) -> str:
    """A p value as it is written."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


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


def embedded(report: Report) -> Markup:
    """The report's JSON, fit to stand in a `script` element: nothing in it can end that element."""
    text = msgspec.json.format(report.to_json(), indent=0).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing is left to escape


def picture(image: Images) -> str:
    """An image uint8 [C, H, W] as a PNG of just its pixels, in a data address; of two channels the first is shown."""
    pixels = image.transpose(1, 2, 0) if image.shape[0] == 3 else image[0]
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, format="png")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"


@dataclass(frozen=True, kw_only=True)
class Curve:
    """How one fit went: its plot, and the epoch whose weights were kept, counted from 1."""

    step: str
    plot: Markup
    epochs: int
    best: int
    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class ShownMistake:
    """A wrong answer with its picture; the classes by their names."""

    image: int
    picture: str
    label: str
    answer: str
    confidence: float
    truth: float


def _curve(step: str, fitted: Fitted) -> Curve:
    scores = fitted.epochs[fitted.best].validation
    return Curve(
        step=step,
        plot=Markup(plots.learning_curve(step, fitted)),  # noqa: S704 - plots escape what they write
        epochs=len(fitted.epochs),
        best=fitted.best + 1,
        loss=scores["loss"],
        accuracy=scores["accuracy"],
    )


def _shown_mistakes(figures: Measured, dataset: Dataset) -> Iterator[ShownMistake]:
    for one in figures.mistakes:
        yield ShownMistake(
            image=one.image,
            picture=picture(dataset.test.images[one.image]),
            label=dataset.classes[one.label],
            answer=dataset.classes[one.answer],
            confidence=one.confidence,
            truth=one.truth,
        )


def _off_diagonal(variants: Mapping[str, Measured]) -> Iterator[int]:
    for figures in variants.values():
        for label, row in enumerate(figures.confusion):
            yield from (count for answer, count in enumerate(row) if answer != label)
