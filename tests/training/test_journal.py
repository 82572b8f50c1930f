"""A run has its folder to itself, and knows what its steps took."""

import time
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.clock import Clock
from training.deadline import OVER, Deadline, TimeUp
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


def test_what_is_done_needs_no_time(recipe: Recipe, tmp_path: Path) -> None:
    """What isn't is begun only where a deadline leaves time; what lies there of other settings stays as it is."""

    def run(setting: int, deadline: Deadline, foreseen: float = 0.0) -> bool:
        with journal(recipe, tmp_path) as one, one.until(deadline):
            one.do("step", {"setting": setting}, (), lambda _: None, lambda: "done", foreseen=foreseen)
            return one.times["step"].cached

    assert not run(1, Deadline.of(1, Clock()), foreseen=60)
    assert run(1, OVER)
    for deadline, foreseen in ((OVER, 0.0), (Deadline.of(1, Clock()), 61.0)):
        with pytest.raises(TimeUp):
            run(2, deadline, foreseen)
    assert run(1, OVER, foreseen=1e9)
    assert not run(2, Deadline())
    assert run(1, OVER)


def test_a_deadline_is_for_a_while(recipe: Recipe, tmp_path: Path) -> None:
    """Afterwards everything may be done again, also if it was too late."""
    with journal(recipe, tmp_path) as one:
        with pytest.raises(TimeUp), one.until(OVER):
            one.do("step", {}, (), lambda _: None, lambda: "done")
        one.do("step", {}, (), lambda _: None, lambda: "done")
