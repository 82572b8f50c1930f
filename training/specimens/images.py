"""An image classifier's recipe: its teacher is compressed as the network of any other recipe is."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType

import msgspec

from training import checkpoint, run
from training.compression.search.design import Network
from training.data import digits
from training.data.material import Material
from training.export import INPUT
from training.network import Exported
from training.network_recipe import Goal, NetworkRecipe
from training.network_report import NetworkFacts
from training.networks.catalogue import kind_of
from training.networks.resnet import ResNet
from training.problems.classification import Classification
from training.recipe import Recipe
from training.session import Tensors
from training.specimens.network import NetworkSpecimen
from training.steps import fitting, forming
from training.steps.journal import Journal
from training.steps.learning import TEACHER, batches
from training.steps.teaching import Learned


class ImageSpecimen(NetworkSpecimen):
    """The teacher of a family, which the fixed plan of `training.run` has taught already, or does now."""

    def __init__(self, journal: Journal[Recipe]) -> None:
        dataset, teacher = run.train(journal)
        recipe = journal.recipe
        own = journal.of(as_network(recipe))
        material = Material(dataset=dataset, steps=digits.transforms(recipe.data))
        config = checkpoint.load_network(teacher.checkpoint, ResNet).config
        learned = Learned(
            checkpoint=teacher.checkpoint,
            fitted=fitting.history(journal, TEACHER),
            facts=NetworkFacts(
                kind=kind_of(config),
                config=asdict(config),
                parameters=teacher.facts.parameters,
                seconds=fitting.seconds(journal, TEACHER),
            ),
        )
        formed = forming.export_all(own, teacher.checkpoint, material)
        exported = Exported(material=material, findings=(), learned=learned, formed=formed)
        super().__init__(own, exported)
        self._shown = batches(journal, TEACHER, dataset, recipe.fit).sample(recipe.quantize.samples)

    @property
    def code(self) -> Sequence[ModuleType]:
        """What asks and measures."""
        return (sys.modules[__name__], *super().code)

    def samples(self, network: Network) -> Tensors:  # noqa: ARG002 - all take the same
        """Training images as training sees them: as scanned they are never negatives, nor faded."""
        return {INPUT: self._shown}


def as_network(recipe: Recipe) -> NetworkRecipe:
    """The recipe of the teacher alone, and how smaller networks learn from it."""
    return NetworkRecipe(
        name=recipe.name,
        profile=recipe.profile,
        about=recipe.about,
        family=recipe.family,
        seed=recipe.seed,
        threads=recipe.threads,
        kind="classification",
        data=recipe.data,
        problem=Classification(),
        network=recipe.network,
        task=recipe.task,
        augment=({"name": "jitter", **asdict(recipe.data.jitter)},),
        fit=recipe.fit,
        distil=recipe.compress.distil,
        teachers=1,
        students=recipe.compress.students,
        evaluate=recipe.evaluate,
        goal=Goal(),
        search={},
        settings=msgspec.to_builtins(recipe),
    )
