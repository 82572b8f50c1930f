"""The steps that make model files of networks: export and quantize."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from service.errors import ArtifactError
from training import checkpoint, export, networks, session, static_shapes, tracing
from training.compression import quantization
from training.compression.quantization import post_training
from training.data.split import Dataset
from training.networks.resnet import ResNet
from training.release import Variant
from training.steps.journal import Journal
from training.steps.learning import TEACHER, Trained, batches

ONNX = "model.onnx"
INT8 = "int8"


def export_all(journal: Journal, trained: Sequence[Trained], dataset: Dataset) -> tuple[Variant, ...]:
    """Every network as an ONNX file that was compared with it."""
    return tuple(_export(journal, one, dataset) for one in trained)


def quantize(journal: Journal, trained: Sequence[Trained], floats: Sequence[Variant], dataset: Dataset) -> Variant:
    """The INT8 form of the best compressed network, calibrated on training images; the teacher is no candidate."""
    recipe = journal.recipe
    best = _best(trained[1:], dataset)
    parent = next(variant for variant in floats if variant.variant == best.variant)
    shown = batches(journal, TEACHER, dataset, recipe.fit).sample(recipe.quantize.samples)

    def action(folder: Path) -> None:
        given = {export.INPUT: shown}
        # Its files are committed and served anywhere, so they have to answer alike on every CPU.
        post_training.quantize(parent.model, folder / ONNX, given, recipe.quantize, reduce_range=True)
        agreement = export.agreement(parent.model, folder / ONNX, dataset.validation.inputs)
        if agreement < recipe.quantize.min_agreement:
            text = f"{INT8}: agrees with {parent.name} on {agreement:.1%} of the validation images, asked is"
            raise ArtifactError(f"{text} {recipe.quantize.min_agreement:.1%}")

    inputs = {
        "parent": parent.model,
        "images": shown,
        "compared on": dataset.validation,
        "settings": recipe.quantize,
    }
    journal.do(
        "quantize",
        inputs,
        (sys.modules[__name__], quantization, export, session),
        action,
        lambda: f"{_size(journal, 'quantize')} of {parent.name}",
    )
    model = journal.path("quantize", ONNX)
    return Variant(family=recipe.family, variant=INT8, parent=parent.name, model=model)


def _best(trained: Sequence[Trained], dataset: Dataset) -> Trained:
    """Of those that can't be told from the most accurate one, the network with the fewest multiplications.

    That is decided on validation images, because the test images must decide nothing but the end. There are few of
    them, so that networks within one standard error count as equals; views of one source count once.

    Source: L. Breiman et al., "Classification and Regression Trees", 1984, section 3.4.3.
    """
    most = max(one.facts.validation_accuracy for one in trained)
    error = math.sqrt(most * (1 - most) / len(np.unique(dataset.validation.sources)))
    equals = [one for one in trained if one.facts.validation_accuracy >= most - error]
    return min(equals, key=lambda one: (one.facts.multiply_adds, -one.facts.validation_accuracy))


def _export(journal: Journal, one: Trained, dataset: Dataset) -> Variant:
    family, step = journal.recipe.family, f"export-{one.variant}"

    def action(folder: Path) -> None:
        served = export.Probabilities(checkpoint.load_network(one.checkpoint, ResNet))
        export.export(served, [dataset.validation.inputs], folder / ONNX)

    inputs = {"network": one.checkpoint, "samples": dataset.validation}
    journal.do(
        step,
        inputs,
        (sys.modules[__name__], export, tracing, static_shapes, session, networks, checkpoint),
        action,
        lambda: _size(journal, step),
    )
    parent = None if one.facts.parent is None else f"{family}-{one.facts.parent}"
    return Variant(family=family, variant=one.variant, parent=parent, model=journal.path(step, ONNX))


def _size(journal: Journal, step: str) -> str:
    return f"{journal.path(step, ONNX).stat().st_size / 1e6:.2f} MB"
