"""The step that gets the data of a network's recipe, and tells what is to be known of it before training."""

import time

import numpy as np

from training.data import catalogue
from training.data.checks import Finding, check, refuse_errors
from training.data.material import Material
from training.network_recipe import NetworkRecipe
from training.steps.journal import Journal


def gather(journal: Journal[NetworkRecipe]) -> tuple[Material, tuple[Finding, ...]]:
    """The material, and all findings, of which the screen shows the warnings. Raises SettingsError for the errors."""
    start = time.perf_counter()
    material = catalogue.gather(journal.recipe.data, journal.recipe.seed)
    dataset = material.dataset
    every_class = journal.recipe.problem.every_class
    findings = (*material.findings, *check(dataset, material.features, every_class=every_class))
    sources = len(np.unique(dataset.test.sources))
    sizes = f"{len(dataset.train)} to train, {len(dataset.validation)} to validate, {len(dataset.test)} to test"
    sizes += f" (of {sources} sources)" if sources < len(dataset.test) else ""
    journal.note("data", start, cached=False, result=sizes)
    refuse_errors(findings)
    for finding in findings:
        journal.warn(finding.text)
    return material, findings
