"""The step that makes model files of a network: one for each form in which it is served."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from torch import nn

from training import checkpoint, export, networks, problems, session, static_shapes, tracing
from training.data.material import Material
from training.durable import put
from training.graph import tensors_in
from training.model_config import model_config
from training.network_recipe import NetworkRecipe
from training.runtime import ONNX_RUNTIME, Runtime
from training.steps.journal import Journal

EXPORT = "export"
FORMED = "formed.json"


@dataclass(frozen=True, kw_only=True)
class Formed:
    """A form of the network: its file, the largest difference from torch, and what its config has to know.

    The `first` is what is measured, and has the family's name.
    """

    variant: str
    first: bool
    model: Path
    parity: float
    labels: tuple[str, ...]
    states: Mapping[str, str]
    runtime: Runtime = ONNX_RUNTIME

    def name(self, family: str) -> str:
        """The name that it is published under."""
        return family if self.first else f"{family}-{self.variant}"

    def config(self, family: str) -> str:
        """The text of `config.pbtxt`."""
        return model_config(
            tensors_in(self.model),
            name=self.name(family),
            family=family,
            variant=self.variant,
            labels=self.labels,
            states=self.states,
            runtime=self.runtime,
        )


def export_all(
    journal: Journal[NetworkRecipe], network: Path, material: Material, *, step: str = EXPORT
) -> tuple[Formed, ...]:
    """Every form of the network in a checkpoint as an ONNX file that was compared with it, kept by `step`.

    The first is what is measured.
    """
    recipe, validation = journal.recipe, material.dataset.validation

    def action(folder: Path) -> None:
        told = {}
        for variant, form in recipe.problem.forms(checkpoint.load_network(network, nn.Module), material).items():
            path = folder / f"{variant}.onnx"
            parity = export.export(form.module, form.samples, path, form.signature)
            told[variant] = {"parity": parity, "labels": form.labels, "states": dict(form.states)}
        put(folder / FORMED, msgspec.json.encode(told))

    inputs = {
        "network": network,
        "samples": validation,
        "problem": recipe.problem,
        "classes": list(material.dataset.classes),
    }
    named = (sys.modules[type(recipe.network).__module__], sys.modules[type(recipe.problem).__module__])
    code = (sys.modules[__name__], export, tracing, static_shapes, session, networks, problems, checkpoint, *named)
    journal.do(step, inputs, code, action, lambda: _told(journal, step))
    return _formed(journal, step)


def _formed(journal: Journal[NetworkRecipe], step: str) -> tuple[Formed, ...]:
    told = msgspec.json.decode(journal.path(step, FORMED).read_bytes())
    return tuple(
        Formed(
            variant=variant,
            first=not number,
            model=journal.path(step, f"{variant}.onnx"),
            parity=one["parity"],
            labels=tuple(one["labels"]),
            states=one["states"],
        )
        for number, (variant, one) in enumerate(told.items())
    )


def _told(journal: Journal[NetworkRecipe], step: str) -> str:
    return ", ".join(f"{one.variant} {one.model.stat().st_size / 1e6:.2f} MB" for one in _formed(journal, step))
