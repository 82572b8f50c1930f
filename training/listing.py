"""Which recipes there are: what each is for, on which data, and what it came to when it was last run."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from training.recipe import IMAGES, LANGUAGE, RECIPES, recipe_names
from training.settings_file import read_settings
from training.summary import Kept, Summary, latest, read, recipes
from training.table import framed, print_whole

MADE: Mapping[str, tuple[str, str, str]] = {
    IMAGES: ("classification", "digits", "resnet"),
    LANGUAGE: ("language", "topics", "decoder"),
}
"""Problem, data and network of the kinds of recipes that have one of each."""


MEASURED = Path(__file__).parent / "results" / "recipes.json"
"""What the bundled recipes came to where the table of training/RESULTS.md was made."""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A recipe that comes with the package, or one of somebody's `own` that has a result.

    `last` is its last result, of whichever profile, told at `when`. `expected` is the result that is known of another
    run, maybe on another machine, where there is none of this one.
    """

    recipe: str
    about: str
    problem: str
    data: str
    network: str
    profiles: tuple[str, ...]
    own: bool
    last: Summary | None
    when: dt.datetime | None
    expected: Summary | None


def listed(runs: Path) -> tuple[Listed, ...]:
    """The bundled recipes by name, then those of somebody's own that have a result, with what lies below `runs`.

    Raises SettingsError for a file that can't be read.
    """
    bundled, measured = recipe_names(), _measured()
    return (
        *(_bundled(name, read_settings(RECIPES / f"{name}.yaml"), runs, measured.get(name)) for name in bundled),
        *(_own(name, kept, runs) for name in recipes(runs) if name not in bundled and (kept := latest(runs, name))),
    )


def print_listed(found: tuple[Listed, ...], console: Console) -> None:
    """A table of what can be trained, and one of what was."""
    offered = _table("Recipes", ("about", "problem", "data", "network", "fit s"))
    came = _table("Last results", ("figure that decides [95 %]", "goal", "profile", "fit s", "when"))
    for one in found:
        offered.add_row(one.recipe, one.about, one.problem, one.data, one.network, _seconds(one))
        if one.last is not None and one.when is not None:
            came.add_row(one.recipe, *_told(one.last), one.when.strftime("%Y-%m-%d %H:%M UTC"))
    profiles = dict.fromkeys(name for one in found if not one.own for name in one.profiles)
    offered.caption = f"Profiles: {', '.join(profiles)}. fit s: of all fits when last run; ~ where it never ran here."
    print_whole(offered, console)
    if came.row_count:
        print_whole(came, console)


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = framed(title, columns, first="recipe")
    for column in table.columns:
        column.justify = "left"
    return table


def _bundled(name: str, settings: Mapping[str, Any], runs: Path, expected: Summary | None) -> Listed:
    kind = settings.get("kind", IMAGES)
    problem, data, network = MADE[kind] if kind in MADE else _named(settings)
    kept = latest(runs, name)
    return Listed(
        recipe=name,
        about=settings["about"],
        problem=problem,
        data=data,
        network=network,
        profiles=tuple(settings["profiles"]),
        own=False,
        last=None if kept is None else kept.summary,
        when=None if kept is None else kept.when,
        expected=expected if kept is None else None,
    )


def _own(name: str, kept: Kept, runs: Path) -> Listed:
    """A recipe whose file may lie anywhere: what is known of it is what its last run told."""
    last = kept.summary
    return Listed(
        recipe=name,
        about=last.about,
        problem=last.problem,
        data=last.data,
        network=last.network,
        profiles=tuple(sorted(path.name for path in (runs / name).iterdir() if read(path) is not None)),
        own=True,
        last=last,
        when=kept.when,
        expected=None,
    )


def _measured() -> Mapping[str, Summary]:
    """What recipes came to elsewhere, by name; nothing where that was never written."""
    if not MEASURED.exists():
        return {}
    entries = msgspec.json.decode(MEASURED.read_bytes())["recipes"]
    return {name: msgspec.convert(one["summary"], Summary) for name, one in entries.items()}


def _named(settings: Mapping[str, Any]) -> tuple[str, str, str]:
    return settings["problem"]["kind"], settings["data"]["source"], settings["network"]["kind"]


def _seconds(one: Listed) -> str:
    told = one.last or one.expected
    return "" if told is None else f"{'' if one.last else '~'}{told.fit_seconds:,.0f} ({told.profile})"


def _told(last: Summary) -> tuple[str, ...]:
    figure = f"{last.headline} {last.figure.value:.4g} [{last.figure.low:.4g}, {last.figure.high:.4g}]"
    return figure, "met" if last.goal_met else "missed", last.profile, f"{last.fit_seconds:,.0f}"
