"""A run has its folder to itself, and knows what its steps took."""

import time
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


def test_the_time_of_a_run_is_that_of_its_steps_when_they_were_done(recipe: Recipe, tmp_path: Path) -> None:
    """So one that finds them done says the same, and what isn't one of its steps isn't counted."""

    def run(*names: str) -> float:
        with journal(recipe, tmp_path) as one:
            for name in names:
                one.do(name, {}, (), lambda _: time.sleep(0.05), lambda: "done")
            one.note("publish", time.perf_counter() - 100, cached=False, result="noted")
            return one.spent

    spent = run("first", "second")
    assert 0.1 <= spent < 5
    assert (spent, True) == (run("first", "second"), run("first") < spent)
