"""A recipe's transformer as files, with random weights: `python -m loadtests.compression.transformers`.

Run as a process of its own, since the exporter's libraries keep threads and a gigabyte.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console

from training import export, stepwise
from training.language_recipe import LanguageRecipe
from training.networks import decoder
from training.networks.catalogue import build
from training.recipe import load_any
from training.steps.gathering import gather
from training.steps.journal import Journal
from training.steps.teaching import lesson_of

TEXTS, TOKENS = 5, 16
"""What a decoder's file is compared with its network on."""


def write(recipe: str, profile: str, recorded: Path, published: Path) -> None:
    """The network of a recipe in its first form, as a file with the graph that torch records and as it is published."""
    own: Any = load_any(recipe, profile)
    _write(own, published)
    with mock.patch("training.tracing.with_static_shapes", lambda model: model):  # nobody else wants to do without it
        _write(own, recorded)


def _write(recipe: Any, path: Path) -> None:
    (_write_decoder if isinstance(recipe, LanguageRecipe) else _write_network)(recipe, path)


def _write_decoder(recipe: LanguageRecipe, path: Path) -> None:
    config = replace(recipe.network, vocabulary=recipe.tokenizer.vocabulary)
    texts = np.random.default_rng(recipe.seed).integers(0, config.vocabulary, (TEXTS, TOKENS))
    stepwise.export(decoder.build(config, recipe.seed).eval(), texts, path)


def _write_network(recipe: Any, path: Path) -> None:
    with Journal(recipe, path.parent, Console(stderr=True)) as journal:
        material, _ = gather(journal)
    network = build(lesson_of(recipe, material).config, recipe.seed).eval()
    form = next(iter(recipe.problem.forms(network, material).values()))
    export.export(form.module, form.samples, path, form.signature)


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
