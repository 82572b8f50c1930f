"""The trials of a search: what is tried next, what is given up, and what a kill leaves."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training.limits import files_up_to
from training.errors import TrainingError
from training.tuning.space import Choices, Range, Space
from training.tuning.study import Study
from training.tuning.trial import Trial

SPACE: Space = {"fit.clip": Range(low=0.0, high=1.0, step=0.1), "network.widths": Choices(choices=([], [16]))}


def study(path: Path, *, name: str = "one") -> Study:
    return Study(path, name, SPACE, smaller=True, seed=3, epochs=4)


def one(trials: Study, value: Callable[[float], float] = lambda clip: clip) -> Trial:
    """A trial of two epochs, the last of which is what it is worth."""
    attempt = trials.begin(None)
    worth = value(attempt.values["fit.clip"])
    for epoch in range(2):
        trials.report(attempt, epoch, worth + 1 - epoch)
    return trials.finish(attempt)


def told(trials: Study) -> list[tuple[int, str, float | None, object]]:
    return [(trial.number, trial.state, trial.value, trial.values) for trial in trials.trials()]


def test_values_are_as_they_stand_in_a_recipe(tmp_path: Path) -> None:
    """Lists are lists, and steps have no rounding errors; what is read later is the same."""
    made = [one(study(tmp_path / "trials")) for _ in range(12)]
    for trial in made:
        assert trial.values["network.widths"] in ([], [16])
        assert len(repr(trial.values["fit.clip"])) == 3
    assert made == list(study(tmp_path / "trials").trials())


def test_a_file_that_cannot_grow_is_named(tmp_path: Path) -> None:
    """As on a full disk, whose error says nothing of the file; later the search goes on."""
    one(study(tmp_path / "trials"))
    with files_up_to((tmp_path / "trials").stat().st_size), pytest.raises(OSError, match=r"File too large: .*/trials'"):
        one(study(tmp_path / "trials"))
    assert 2 == one(study(tmp_path / "trials")).number


def test_the_best_is_the_smallest_epoch_of_a_finished_trial(tmp_path: Path) -> None:
    """One that was given up or failed isn't the best, whatever it came to."""
    trials = study(tmp_path / "trials")
    assert trials.best() is None
    for end in (trials.prune, lambda attempt: trials.prune(attempt, "too wide")):
        attempt = trials.begin(None)
        trials.report(attempt, 0, 0.1)
        end(attempt)
    attempt = trials.begin(None)
    for epoch, value in enumerate((0.9, 0.5, 0.7)):
        trials.report(attempt, epoch, value)
    assert ("finished", 0.5, 3) == ((best := trials.finish(attempt)).state, best.value, best.epochs)
    assert best == trials.best()
    assert [(1, "pruned", ""), (2, "failed", "too wide")] == [
        (trial.number, trial.state, trial.note) for trial in trials.trials()[:2]
    ]


def test_what_is_worse_than_the_median_is_given_up(tmp_path: Path) -> None:
    """Not before four are finished, nor in the first quarter of the epochs."""
    trials = study(tmp_path / "trials")
    for _ in range(4):
        attempt = trials.begin(None)
        assert not any(trials.report(attempt, epoch, 1.0) for epoch in range(4))
        trials.finish(attempt)
    attempt = trials.begin(None)
    assert [False, True] == [trials.report(attempt, epoch, 2.0) for epoch in range(2)]
    trials.prune(attempt)
    attempt = trials.begin(None)
    assert not any(trials.report(attempt, epoch, 0.5) for epoch in range(4))


def test_the_first_trial_is_the_recipe_itself(tmp_path: Path) -> None:
    """Also when it was interrupted: it is begun anew, once."""
    own = {"fit.clip": 0.7, "network.widths": [16]}
    trials = study(tmp_path / "trials")
    trials.forget(trials.begin(own))
    trials.begin(own)
    trials = study(tmp_path / "trials")
    attempt = trials.begin(own)
    assert (1, own) == (attempt.number, attempt.values)
    trials.report(attempt, 0, 1.0)
    trials.finish(attempt)
    assert own != trials.begin(own).values


def test_an_interrupted_study_tries_the_same(tmp_path: Path) -> None:
    """Whether a trial was interrupted, the process killed, or a line half written."""
    whole = study(tmp_path / "whole")
    for _ in range(16):
        one(whole)
    for number in range(16):
        broken = study(tmp_path / "broken")
        attempt = broken.begin(None)
        broken.report(attempt, 0, 0.1)
        if number % 2:
            broken.forget(attempt)
        with (tmp_path / "broken").open("ab") as file:
            file.write(b'{"op_code":')
        (tmp_path / "broken.lock").touch()
        one(study(tmp_path / "broken"))
    assert told(whole) == told(study(tmp_path / "broken"))


def test_studies_of_other_names_lie_side_by_side(tmp_path: Path) -> None:
    """Trials under other settings aren't mixed, and aren't lost."""
    first = one(study(tmp_path / "trials"))
    assert () == study(tmp_path / "trials", name="other").trials()
    assert (first,) == study(tmp_path / "trials").trials()


def test_what_is_important_is_found(tmp_path: Path) -> None:
    """A value that decides all has nearly all of the importance; of few trials nothing is said."""
    trials = study(tmp_path / "trials")
    assert {} == trials.importance()
    for _ in range(20):
        one(trials)
    found = trials.importance()
    assert ["fit.clip", "network.widths"] == list(found)
    assert found["fit.clip"] > 0.9
    assert found == study(tmp_path / "trials").importance()


def test_a_file_that_is_something_else_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "trials").write_text("trial 1: good\ntrial 2: better\n")
    with pytest.raises(TrainingError, match=r"trials: isn't a journal of trials .*; remove it to begin anew"):
        study(tmp_path / "trials")
