"""The step that trains a network for integers: it learns from the teacher with the errors that they will make."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import msgspec
import torch
from torch import nn

from training import checkpoint, fit
from training.compression import distillation, quantization
from training.compression.distillation.settings import DistilSettings
from training.compression.quantization.aware_training import aware, plain
from training.compression.quantization.ranges import Range
from training.compression.quantization.weight_range import reduced_range
from training.compression.search.design import Network
from training.durable import put
from training.steps import fitting
from training.steps.fitting import HISTORY
from training.steps.shrinking import Shrinking

MODEL, RANGES = "model.onnx", "ranges.json"
EPOCHS, RATE = 0.25, 0.1
"""Shares of the epochs and of the learning rate that networks in floating point learn by: this one only adapts."""
Exported = Callable[[nn.Module, Path], None]


@dataclass(frozen=True, kw_only=True)
class LearntIntegers:
    """The file of a network whose integers it has learnt to live with, still in floating point, and their ranges."""

    model: Path
    ranges: dict[str, Range]


def learn_integers(
    shrinking: Shrinking, network: Network, export: Exported, code: tuple[ModuleType, ...]
) -> LearntIntegers:
    """A network after a short fit as integers, `export`ed, with the range of each module's input by the module's name.

    `code` are the modules that decide how it is exported. Raises what `learned` and a fit raise.
    """
    journal, schooling = shrinking.journal, shrinking.schooling
    settings = _shorter(schooling.distil)
    foreseen = shrinking.foreseen(network, settings)
    learned = shrinking.learned(network)
    teachers = shrinking.teachers(shrinking.learned(Network()), settings, foreseen)
    name = f"{network.name}-aware"

    def action(folder: Path) -> None:
        torch.set_num_threads(journal.recipe.threads)
        student = aware(checkpoint.load_network(learned, nn.Module))
        given = shrinking.exercise(student, teachers, settings)
        batches = schooling.batches(settings.fit.batch_size)
        taught = fit.Fit(given.network, given.task, batches, schooling.validation, settings.fit)
        with fitting.settled(folder):
            fitted = taught.run(folder, journal.console, observer=journal.deadline.pace(settings.fit.epochs))
            put(folder / HISTORY, msgspec.json.format(msgspec.json.encode(fitted, order="sorted"), indent=1))
            put(folder / RANGES, msgspec.json.encode(plain(student)))
            export(student, folder / MODEL)

    def told() -> str:
        if journal.path(name, fitting.DIVERGED).exists():
            return "diverged"
        found = fitting.history(journal, name)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in found.epochs[found.best].validation.items())
        return fitting.summary(found, f"as integers, validation {figures}")

    inputs = {
        **schooling.decides,
        "teachers": list(teachers),
        "network": learned,
        "task": schooling.task,
        "seed": journal.recipe.seed,
        "threads": journal.recipe.threads,
        "distil": settings,
        "reduce_range": reduced_range(),
    }
    modules = (sys.modules[__name__], distillation, quantization, *schooling.code, *code)
    journal.do(name, inputs, modules, action, told, foreseen=foreseen)
    fitting.check(journal, name)
    ranges = msgspec.json.decode(journal.path(name, RANGES).read_bytes(), type=dict[str, Range])
    return LearntIntegers(model=journal.path(name, MODEL), ranges=ranges)


def _shorter(settings: DistilSettings) -> DistilSettings:
    whole = settings.fit
    epochs = max(1, round(EPOCHS * whole.epochs))
    # An average would lag behind the ranges, and a moving average has no use for hints of other layers' floats.
    adapted = replace(whole, epochs=epochs, learning_rate=RATE * whole.learning_rate, average=0.0)
    return replace(settings, fit=adapted, hints=())
