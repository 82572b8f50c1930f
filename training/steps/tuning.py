"""The step that looks for better settings of a network's recipe: fits by other settings, judged on the validation part.

The test part isn't touched: who tunes by it measures how well it was learnt by heart.
"""

import math
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.progress import TimeElapsedColumn

from service.errors import SettingsError
from training import network_recipe
from training.cache import Step
from training.data.material import Material
from training.durable import put
from training.errors import Diverged, TrainingError
from training.fitted import Epoch
from training.machine import current_commit, machine
from training.network_recipe import NetworkRecipe
from training.progress import bar
from training.settings_file import merge
from training.steps.journal import Journal
from training.steps.teaching import lesson_of
from training.tuning import page, plots
from training.tuning.screen import TuneProgress
from training.tuning.space import changed, own_values
from training.tuning.study import Attempt, Study
from training.tuning.trial import Trial
from training.tuning.tuned import Ended, Tuned

TUNE = "tune"
TRIALS, BEST, JSON, HTML = "trials.jsonl", "best.yaml", "tune.json", "tune.html"
DECIDING = ("problem", "network", "task", "augment", "fit", "seed", "threads", "search")
"""What a trial depends on besides the data."""


class GivenUp(Exception):
    """The trial isn't promising."""


class TimeUp(Exception):
    """There is no time left for it."""


def tune(
    journal: Journal[NetworkRecipe], material: Material, *, given: str, trials: int, minutes: float | None
) -> Tuned:
    """The best settings of what the recipe's `search` spans, of `trials` in all, those of earlier calls included.

    `given` is the name or file of the recipe, and `minutes` bound this call. Trials that can't be done are kept as
    such. Raises SettingsError if there is nothing to search or to judge by, and TrainingError if not one trial was
    finished.
    """
    end = math.inf if minutes is None else time.monotonic() + 60 * minutes
    study = _study(journal, material)
    # What is there already was asked for by an earlier call.
    asked = max(trials, len(study.trials()))
    ended: Ended = "done"
    with bar(journal.console, TUNE, total=asked, done=len(study.trials()), time=TimeElapsedColumn()) as shown:
        progress = TuneProgress(shown, watch=str(journal.recipe.fit.watch))
        try:
            while len(study.trials()) < asked:
                if time.monotonic() > end:
                    raise TimeUp
                progress.trial(_try(journal, material, study, progress, end))
                if (best := study.best()) is not None:
                    progress.best(best)
                    _keep(journal, best, given, asked)
        except TimeUp:
            ended = "up"
        except KeyboardInterrupt:
            ended = "interrupted"
    return _told(journal, study, given, asked, ended)


def _study(journal: Journal[NetworkRecipe], material: Material) -> Study:
    """The trials of this recipe with these data and this code: others aren't comparable, and stay by themselves."""
    recipe, dataset = journal.recipe, material.dataset
    if not recipe.search:
        raise SettingsError(f"{recipe.name}: has no `search`, which says what may be tried (see docs/tuning.md)")
    if recipe.fit.watch is None:
        raise SettingsError(f"{recipe.name}: `fit.watch` is null, and must name what validation judges trials by")
    lesson = lesson_of(recipe, material)
    step = Step(
        name=TUNE,
        inputs={
            "train": dataset.train,
            "validation": dataset.validation,
            "network": lesson.config,
            "settings": {name: recipe.all_settings.get(name) for name in DECIDING},
        },
        code=(sys.modules[__name__], *lesson.code(recipe.problem)),
        versions=machine().versions,
    )
    for left in (journal.folder / TUNE).glob("trial-*"):
        shutil.rmtree(left)
    return Study(
        journal.path(TUNE, TRIALS),
        step.key(),
        recipe.search,
        smaller=lesson.task.better[recipe.fit.watch] == "smaller",
        seed=recipe.seed,
        epochs=recipe.fit.epochs,
    )


def _try(
    journal: Journal[NetworkRecipe], material: Material, study: Study, progress: TuneProgress, end: float
) -> Trial:
    """One trial. Raises TimeUp after the epoch in which the time `end` (of time.monotonic) has come."""
    recipe = journal.recipe
    own = own_values(_said(recipe), recipe.search)
    attempt = study.begin(own)
    if own is None and attempt.number == 1:
        journal.warn("what the recipe itself sets isn't all within its search: the recipe as it is won't be tried")
    folder = journal.path(TUNE, f"trial-{attempt.number}")
    try:
        _fit(recipe, material, attempt, folder, _observer(recipe, study, attempt, progress, end))
        return study.finish(attempt)
    except GivenUp:
        return study.prune(attempt)
    except (Diverged, SettingsError) as error:
        # What a checkpoint is good for is of no interest here: it goes.
        return study.prune(attempt, str(error).removeprefix(f"{folder.name}: ").partition("; ")[0])
    except BaseException:
        study.forget(attempt)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _observer(
    recipe: NetworkRecipe, study: Study, attempt: Attempt, progress: TuneProgress, end: float
) -> Callable[[Epoch], None]:
    def observe(epoch: Epoch) -> None:
        value = epoch.validation[str(recipe.fit.watch)]
        hopeless = study.report(attempt, epoch.number, value)
        progress.epoch(attempt.number, epoch.number + 1, value)
        if hopeless:
            raise GivenUp
        if time.monotonic() > end:
            raise TimeUp

    return observe


def _fit(
    recipe: NetworkRecipe, material: Material, attempt: Attempt, folder: Path, observe: Callable[[Epoch], None]
) -> None:
    tried = network_recipe.parse(
        changed(recipe.settings, attempt.values), file=f"{recipe.name}.yaml", profile=recipe.profile
    )
    folder.mkdir(parents=True)
    _, teacher = lesson_of(tried, material).begin(tried, material)
    teacher.run(folder, Console(file=StringIO()), observer=observe)


def _said(recipe: NetworkRecipe) -> Mapping[str, Any]:
    """What the recipe says, as it says it, with the defaults of what it doesn't."""
    return merge(recipe.all_settings, changed(recipe.settings, {}), where=recipe.name)


def _keep(journal: Journal[NetworkRecipe], best: Trial, given: str, asked: int) -> None:
    """Write the best settings so far as a recipe of their own, which has the tuned profile alone.

    On its head is the command that finds them.
    """
    recipe = journal.recipe
    settings = {"kind": "network", **changed(recipe.settings, best.values), "profiles": {recipe.profile: {}}}
    command = shlex.join(("hone-train", "tune", given, "--profile", recipe.profile, "--trials", str(asked)))
    head = f"# Found by `{command}`, trial {best.number}: validation {recipe.fit.watch} {best.value:.4g}.\n"
    text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=120)
    put(journal.path(TUNE, BEST), (head + text).encode())


def _told(journal: Journal[NetworkRecipe], study: Study, given: str, asked: int, ended: Ended) -> Tuned:
    """All of it, written beside the trials."""
    recipe, trials, best = journal.recipe, study.trials(), study.best()
    if best is None and ended == "interrupted":
        raise KeyboardInterrupt
    if best is None:
        failed = [one for one in trials if one.note]
        last = f"; trial {failed[-1].number} failed: {failed[-1].note}" if failed else ""
        raise TrainingError(f"{recipe.name}: not one of {len(trials)} trials was finished{last}")
    _keep(journal, best, given, asked)
    tuned = Tuned(
        name=recipe.name,
        profile=recipe.profile,
        about=recipe.about,
        watch=str(recipe.fit.watch),
        better="smaller" if study.smaller else "larger",
        asked=asked,
        ended=ended,
        best=best,
        trials=trials,
        importance=study.importance(),
        file=str(journal.path(TUNE, BEST)),
        page=str(journal.path(TUNE, HTML)),
        commit=current_commit(),
        machine=machine(),
    )
    pictures = plots.draw(tuned, recipe.search)
    for name, picture in pictures.items():
        put(journal.path(TUNE, f"{name}.svg"), picture.encode())
    put(journal.path(TUNE, JSON), tuned.to_json())
    put(journal.path(TUNE, HTML), page.render(tuned, pictures).encode())
    return tuned
