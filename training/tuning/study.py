"""The trials of one search, in a file that a kill can't break: which settings are tried next, and when one is given up.

Settings are drawn by a tree-structured Parzen estimator (J. Bergstra et al., "Algorithms for Hyper-Parameter
Optimization", NeurIPS 2011); a trial that is worse than the median of the others at the same epoch is given up (D.
Golovin et al., "Google Vizier", KDD 2017, section 3.2.2). Optuna does both.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from training.durable import naming
from training.errors import TrainingError
from training.tuning.space import Choices, Range, Space
from training.tuning.trial import Trial

LEAST_FINISHED = 4
"""Trials that have to be finished before a median, or an importance, means anything."""
WARM_UP = 0.25
"""The share of epochs that every trial gets."""
SECONDS, NOTE, VALUE = "seconds", "note", "value"
STATES: Mapping[TrialState, Literal["finished", "pruned"]] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
}


class _Lines(JournalFileBackend):
    """The file, named by what goes wrong when it is written."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with naming(self._path):
            super().append_logs(logs)


class Attempt:
    """A trial that is under way: its `number`, the `values` that it tries, and its `best` epoch so far."""

    def __init__(self, trial: optuna.Trial, values: Mapping[str, Any], number: int) -> None:
        self.values = values
        self.number = number
        self.trial = trial
        self.best = math.nan
        self.begun = time.perf_counter()


class Study:
    """The trials called `name` in the file `path`, which is this process's alone.

    The same name, space, `seed` and values draw the same settings, also when the study was interrupted in between.
    """

    def __init__(self, path: Path, name: str, space: Space, *, smaller: bool, seed: int, epochs: int) -> None:
        """Raises OSError if the file can't be written, and TrainingError if it holds something else."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        _mend(path)
        self._space = space
        self._seed = seed
        self.smaller = smaller
        try:
            storage = JournalStorage(_Lines(path))
        except (ValueError, LookupError, TypeError) as error:
            raise TrainingError(f"{path}: isn't a journal of trials ({error}); remove it to begin anew") from error
        self._study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="minimize" if smaller else "maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=LEAST_FINISHED, n_warmup_steps=int(WARM_UP * epochs)),
            load_if_exists=True,
        )
        # What was under way when the last process was killed is tried anew, under the number that it had.
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)

    def trials(self) -> tuple[Trial, ...]:
        """All that came to an end, in order; what was interrupted counts for nothing."""
        settled = [one for one in self._study.get_trials(deepcopy=False) if one.state in STATES]
        return tuple(self._told(number, one) for number, one in enumerate(settled, 1))

    def best(self) -> Trial | None:
        """The best of the finished ones, the first of equals."""
        sign = 1 if self.smaller else -1
        finished = [one for one in self.trials() if one.state == "finished" and one.value is not None]
        return min(finished, key=lambda one: sign * (one.value or 0.0), default=None)

    def begin(self, own: Mapping[str, Any] | None) -> Attempt:
        """The next trial. The first one tries what the recipe says itself, its `own` values, if they are known."""
        done = len(self.trials())
        if not done and own and not self._study.get_trials(states=(TrialState.WAITING,)):
            self._study.enqueue_trial({key: self._written(key, value) for key, value in own.items()})
        # The sampler's chance depends on how many trials there are, and not on when the process was started.
        self._study.sampler = optuna.samplers.TPESampler(seed=(self._seed * 999_983 + done) % 2**32)
        trial = self._study.ask()
        return Attempt(trial, {key: self._drawn(trial, key) for key in self._space}, done + 1)

    def report(self, attempt: Attempt, epoch: int, value: float) -> bool:
        """Write down what `epoch`, counted from 0, came to; True when the trial isn't promising."""
        attempt.trial.report(value, epoch)
        better = min if self.smaller else max
        attempt.best = value if math.isnan(attempt.best) else better(attempt.best, value)
        return attempt.trial.should_prune()

    def finish(self, attempt: Attempt) -> Trial:
        """The trial came to its end; what it is worth is its best epoch."""
        return self._settle(attempt, TrialState.COMPLETE, attempt.best)

    def prune(self, attempt: Attempt, note: str = "") -> Trial:
        """The trial was given up; a `note` says that it can't be done, and why."""
        attempt.trial.set_user_attr(NOTE, note)
        return self._settle(attempt, TrialState.PRUNED)

    def forget(self, attempt: Attempt) -> None:
        """The trial was interrupted from outside: it is no evidence, and is tried again."""
        self._study.tell(attempt.trial, state=TrialState.FAIL)

    def importance(self) -> Mapping[str, float]:
        """Which share of how values differ each key explains, the largest first (fANOVA); empty for too few trials.

        Source: F. Hutter et al., "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014.
        """
        finished = [one for one in self.trials() if one.state == "finished"]
        if len(finished) < LEAST_FINISHED or len({one.value for one in finished}) == 1:
            return {}
        evaluator = FanovaImportanceEvaluator(seed=self._seed)
        return {key: float(share) for key, share in get_param_importances(self._study, evaluator=evaluator).items()}

    def _settle(self, attempt: Attempt, state: TrialState, value: float | None = None) -> Trial:
        attempt.trial.set_user_attr(SECONDS, time.perf_counter() - attempt.begun)
        if not math.isnan(attempt.best):
            attempt.trial.set_user_attr(VALUE, attempt.best)
        self._study.tell(attempt.trial, value, state=state)
        return self.trials()[-1]

    def _drawn(self, trial: optuna.Trial, key: str) -> Any:
        dimension = self._space[key]
        if isinstance(dimension, Choices):
            texts = [self._written(key, value) for value in dimension.choices]
            return self._read(key, trial.suggest_categorical(key, texts))
        low, high, step = dimension.low, dimension.high, dimension.step
        if dimension.whole:
            return trial.suggest_int(key, int(low), int(high), step=int(step or 1), log=dimension.log)
        return self._read(key, trial.suggest_float(key, low, high, step=step, log=dimension.log))

    def _written(self, key: str, value: Any) -> Any:
        """How a value stands in the file: choices are JSON."""
        return value if isinstance(self._space[key], Range) else msgspec.json.encode(value).decode()

    def _read(self, key: str, value: Any) -> Any:
        """What stands for a value in the file; steps are freed of what adding them up left in the last digits."""
        dimension = self._space[key]
        if isinstance(dimension, Choices):
            return msgspec.json.decode(value)
        return float(f"{value:.12g}") if isinstance(value, float) and dimension.step is not None else value

    def _told(self, number: int, trial: FrozenTrial) -> Trial:
        note = trial.user_attrs.get(NOTE, "")
        return Trial(
            number=number,
            state="failed" if note else STATES[trial.state],
            value=trial.user_attrs.get(VALUE),
            values={key: self._read(key, value) for key, value in trial.params.items()},
            epochs=len(trial.intermediate_values),
            seconds=trial.user_attrs[SECONDS],
            note=note,
        )


def _mend(path: Path) -> None:
    """Take away what a kill left of a line that was being written, and its lock: nobody else is at work here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    if path.exists() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with naming(path), path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
