"""An example as a page shows it: pictures where it has some, else the input in words, or as a plot."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from tokenizers import Tokenizer

from training import network_plots
from training.data.material import Material
from training.data.tokenized import PADDING, TOKENIZER
from training.data.tokens import Ids
from training.problems.inputs import name_of
from training.problems.problem import Example
from training.templates import short

MOST_UNUSUAL = 4
MOST_CHARACTERS = 400


@dataclass(frozen=True, kw_only=True)
class ShownInput:
    """An `example` and one of: its own pictures, the `text` it was, a `plot` of its window, its `values` by name.

    Of the values those that are furthest from what is usual are `unusual`.
    """

    example: Example
    text: str = ""
    plot: Markup = field(default_factory=Markup)
    values: Mapping[str, str] = field(default_factory=dict)
    unusual: tuple[str, ...] = ()


def shown_input(example: Example, material: Material) -> ShownInput:
    """An example of the test part of `material`."""
    test = material.dataset.test.inputs
    if example.pictures or not example.place < len(test):
        return ShownInput(example=example)
    given = test[example.place]
    match name_of(test):
        case "ids":
            return ShownInput(example=example, text=_text(given, material))
        case "window":
            return ShownInput(example=example, plot=network_plots.window(example.place, given))
        case "features":
            return _row(example, material)
        case _:
            return ShownInput(example=example)


def _text(ids: Ids, material: Material) -> str:
    """The text of these ids, or they themselves where nothing decodes them."""
    kept = ids[ids != PADDING].tolist()
    tokenizer = material.files.get(TOKENIZER)
    text = " ".join(map(str, kept)) if tokenizer is None else Tokenizer.from_str(tokenizer.decode()).decode(kept)
    return f"{text[:MOST_CHARACTERS]}…" if len(text) > MOST_CHARACTERS else text


def _row(example: Example, material: Material) -> ShownInput:
    train = material.dataset.train.inputs
    row = material.dataset.test.inputs[example.place]
    names = material.features or tuple(f"feature {number}" for number in range(1, len(row) + 1))
    away = np.abs(row - train.mean(axis=0)) / np.maximum(train.std(axis=0), 1e-12)
    return ShownInput(
        example=example,
        values={name: short(float(value)) for name, value in zip(names, row, strict=True)},
        unusual=tuple(names[place] for place in np.argsort(-away, kind="stable")[:MOST_UNUSUAL]),
    )
