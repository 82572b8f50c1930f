"""The steps of a run: each takes what came before, does its part or finds it done, and says how long that took."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from rich.console import Console

import service
from training import checkpoint, data, export, fit, networks, release, serving, statistics, tasks
from training import evaluate as evaluation
from training.cache import Cache, Step
from training.compression import quantize
from training.data import digits
from training.data.batches import Batches, Jitter
from training.data.split import Dataset
from training.evaluate import Candidate, Measured
from training.machine import machine
from training.networks import resnet
from training.publish import Published, publish
from training.recipe import Recipe
from training.release import Variant
from training.tasks.classification import Classification
from training.verdict import Verdict

NETWORK = "network.safetensors"
HISTORY = "history.json"
ONNX = "model.onnx"
FIGURES = "figures.json"


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """How long a step took, in seconds, and whether its output was there already."""

    seconds: float
    cached: bool


class Steps:
    """The steps of one run of `recipe`. Owns its cache, and the times for the report."""

    def __init__(self, recipe: Recipe, cache: Cache, console: Console) -> None:
        self._recipe = recipe
        self._cache = cache
        self._console = console
        self.times: dict[str, StepTime] = {}

    def data(self) -> Dataset:
        """The images of the recipe, in three parts."""
        start = time.perf_counter()
        dataset = digits.load(self._recipe.data, self._recipe.seed)
        sizes = f"{len(dataset.train)} to train, {len(dataset.validation)} to validate, {len(dataset.test)} to test"
        self._note("data", start, cached=False, result=sizes)
        return dataset

    def train(self, dataset: Dataset) -> Path:
        """The trained network's checkpoint."""
        recipe = self._recipe
        config = _sized(recipe.network, dataset)

        def action(folder: Path) -> None:
            network = resnet.build(config, recipe.seed)
            jitter = Jitter(rotation=recipe.data.rotation, shift=recipe.data.shift, scale=recipe.data.scale)
            batches = Batches(dataset.train, size=recipe.fit.batch_size, jitter=jitter, seed=recipe.seed)
            task = Classification(label_smoothing=recipe.fit.label_smoothing)
            fitted = fit.Fit(network, task, batches, dataset.validation, recipe.fit).run(folder, self._console)
            checkpoint.save_network(folder / NETWORK, network)
            (folder / HISTORY).write_bytes(msgspec.json.format(msgspec.json.encode(fitted), indent=1))
            (folder / fit.STATE).unlink()

        inputs = {
            "train": dataset.train,
            "validation": dataset.validation,
            "network": config,
            "fit": recipe.fit,
            "data": recipe.data,
            "seed": recipe.seed,
        }
        self._do("fit", inputs, (fit, data, networks, tasks, checkpoint), action, self._training_result)
        return self._cache.path("fit", NETWORK)

    def export(self, network: Path, dataset: Dataset) -> Variant:
        """The teacher: the trained network as an ONNX file."""

        def action(folder: Path) -> None:
            export.export(checkpoint.load_network(network), dataset.validation.images, folder / ONNX)

        inputs = {"network": network, "samples": dataset.validation}
        self._do("export", inputs, (export, networks, checkpoint), action, lambda: self._size("export"))
        return Variant(
            family=self._recipe.family, variant="teacher", parent=None, model=self._cache.path("export", ONNX)
        )

    def quantize(self, teacher: Variant, dataset: Dataset) -> Variant:
        """The INT8 variant of the teacher, calibrated on training images."""
        recipe = self._recipe

        def action(folder: Path) -> None:
            quantize.quantize(teacher.model, folder / ONNX, dataset.train.images, recipe.quantize, seed=recipe.seed)

        inputs = {
            "teacher": teacher.model,
            "images": dataset.train,
            "settings": recipe.quantize,
            "seed": recipe.seed,
            "cpu_flags": machine().cpu_flags,
        }
        self._do("quantize", inputs, (quantize,), action, lambda: self._size("quantize"))
        model = self._cache.path("quantize", ONNX)
        return Variant(family=recipe.family, variant="int8", parent=teacher.name, model=model)

    def evaluate(self, variants: Sequence[Variant], dataset: Dataset) -> dict[str, Measured]:
        """Every variant's figures on the test images, taken through the service."""
        recipe = self._recipe

        def action(folder: Path) -> None:
            with tempfile.TemporaryDirectory() as scratch:
                repository = Path(scratch)
                for variant in variants:
                    publish(repository, release.unmeasured(variant, recipe, dataset))
                with serving.serving(repository, [variant.name for variant in variants]) as served:
                    candidates = [
                        Candidate(name=variant.name, parent=variant.parent, size=variant.model.stat().st_size)
                        for variant in variants
                    ]
                    figures = evaluation.evaluate(served, candidates, dataset.test, dataset.classes, recipe.evaluate)
            (folder / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=1))

        inputs = {
            "test": dataset.test,
            "settings": recipe.evaluate,
            "machine": msgspec.to_builtins(machine()),
            **{variant.name: variant.model for variant in variants},
        }
        self._do(
            "evaluate",
            inputs,
            (evaluation, statistics, serving, release, service),
            action,
            lambda: "through the service",
        )
        figures = self._cache.path("evaluate", FIGURES).read_bytes()
        return msgspec.json.decode(figures, type=dict[str, Measured])

    def publish(
        self,
        repository: Path,
        variants: Sequence[Variant],
        dataset: Dataset,
        measured: Mapping[str, Measured],
        verdict: Verdict,
        *,
        keep: int | None,
    ) -> tuple[Published, ...]:
        """Every variant under its own name and the chosen one under the family's, or nothing if the goal is missed."""
        start = time.perf_counter()
        if not verdict.goal_met:
            self._note("publish", start, cached=False, result="nothing: the goal isn't met")
            return ()
        releases = release.measured(variants, self._recipe, dataset, measured, verdict)
        published = tuple(publish(repository, one, keep=keep) for one in releases)
        unchanged = not any(one.new for one in published)
        self._note("publish", start, cached=unchanged, result=f"{len(published)} models")
        return published

    def history(self) -> Any:
        """How the fit went: its epochs and the best one, as plain JSON."""
        return json.loads(self._cache.path("fit", HISTORY).read_text(encoding="utf-8"))

    def _do(
        self,
        name: str,
        inputs: Mapping[str, Any],
        code: Sequence[ModuleType],
        action: Callable[[Path], None],
        result: Callable[[], str],
    ) -> None:
        start = time.perf_counter()
        cached = self._cache.do(Step(name=name, inputs=inputs, code=code, versions=machine().versions), action)
        self._note(name, start, cached=cached, result=result())

    def _note(self, name: str, start: float, *, cached: bool, result: str) -> None:
        seconds = time.perf_counter() - start
        self.times[name] = StepTime(seconds=seconds, cached=cached)
        state = "unchanged" if cached else f"{seconds:.1f} s"
        self._console.print(f"  {name:<10}{state:>10}   {result}", highlight=False)

    def _training_result(self) -> str:
        history = self.history()
        best = history["epochs"][history["best"]]["validation"]
        return f"{len(history['epochs'])} epochs, validation accuracy {best['accuracy']:.4f}"

    def _size(self, step: str) -> str:
        return f"{self._cache.path(step, ONNX).stat().st_size / 1e6:.2f} MB"


def _sized(config: resnet.ResNetConfig, dataset: Dataset) -> resnet.ResNetConfig:
    """The config as the data decides it: channels, classes, and what the pixels are normalised by."""
    pixels = dataset.train.images / 255.0
    return replace(
        config,
        channels=dataset.train.images.shape[1],
        classes=len(dataset.classes),
        mean=round(float(pixels.mean()), 4),
        deviation=round(float(pixels.std()), 4),
    )
