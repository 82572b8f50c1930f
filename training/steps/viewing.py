"""The step that trains a classifier of a recipe's images, for those who judge others by what it sees in them."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from training import fit
from training.data.batches import Batches
from training.data.material import Material
from training.network_recipe import NetworkRecipe
from training.networks import resnet
from training.networks.resnet import ResNetConfig
from training.problems.inputs import decided_by_inputs
from training.problems.sizing import sized
from training.problems.viewing import Viewed
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.steps.teaching import LOOP
from training.tasks import classification
from training.tasks.classification import Classification

CLASSIFIER = "classifier"


def view(journal: Journal[NetworkRecipe], material: Material) -> Material:
    """The material, with a classifier where the recipe's problem needs one. Raises SettingsError and Diverged."""
    recipe, dataset = journal.recipe, material.dataset
    if not isinstance(recipe.problem, Viewed):
        return material
    viewing = recipe.problem.viewing
    # What images look like decides of it what it decides of any network.
    decided = {**decided_by_inputs(material), "classes": len(dataset.classes)}
    config = sized(ResNetConfig(widths=viewing.widths), decided)

    def action(folder: Path) -> None:
        torch.set_num_threads(recipe.threads)
        network = resnet.build(config, recipe.seed)
        batches = Batches(dataset.train, size=viewing.fit.batch_size, transforms=(), seed=recipe.seed)
        told = fit.Fit(network, Classification(), batches, dataset.validation, viewing.fit).run(folder, journal.console)
        fitting.keep(folder, network, told)

    inputs = {
        "train": dataset.train,
        "validation": dataset.validation,
        "network": config,
        "seed": recipe.seed,
        "threads": recipe.threads,
        "fit": viewing.fit,
    }
    code = (sys.modules[__name__], *LOOP, resnet, classification)
    journal.do(CLASSIFIER, inputs, code, action, lambda: _told(journal))
    return replace(material, classifier=journal.path(CLASSIFIER, NETWORK))


def _told(journal: Journal[NetworkRecipe]) -> str:
    found = fitting.history(journal, CLASSIFIER)
    return fitting.summary(found, f"validation accuracy {found.epochs[found.best].validation['accuracy']:.4f}")
