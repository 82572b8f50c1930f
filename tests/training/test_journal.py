"""A run has its folder to itself."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from training.errors import TrainingError
from training.recipe import Recipe
from training.steps.journal import Journal


def journal(recipe: Recipe, runs: Path) -> Journal:
    return Journal(recipe, runs, Console(file=StringIO()))


def test_two_runs_never_work_in_one_folder(recipe: Recipe, tmp_path: Path) -> None:
    """The second one is told at once, and may work as soon as the first one has left, however it left."""
    with journal(recipe, tmp_path):
        with pytest.raises(TrainingError, match="another run is at work in"), journal(recipe, tmp_path):
            pass
        with journal(recipe, tmp_path / "other"):
            pass
    with pytest.raises(KeyError), journal(recipe, tmp_path):
        raise KeyError
    with journal(recipe, tmp_path):
        pass
