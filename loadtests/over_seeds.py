"""What a recipe comes to at several seeds: whether its figure, and that it beats its baseline, is more than luck."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from loadtests import results
from training.recipe import RECIPES, load_any
from training.settings_file import read_settings
from training.summary import Summary

NAME = "recipes-seeds"
COLUMNS = (
    "recipe",
    "seeds",
    "figure that decides",
    "mean [smallest, largest]",
    "best baseline at the same seed",
    "won / tied / lost",
    "better / equal / worse in pairs",
    "measured",
)


def seeds_of(name: str, profile: str, count: int) -> list[int]:
    """The recipe's own seed and those after it, `count` in all."""
    own = load_any(name, profile).seed
    return list(range(own, own + count))


def at_seed(name: str, seed: int, folder: Path) -> Path:
    """The bundled recipe `name` as a file of its own in `folder`, with another seed and nothing else changed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    settings = {**read_settings(RECIPES / path.name), "seed": seed}
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def section(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of all recipes that were measured at several seeds."""
    about = max(entries.values(), key=lambda one: one["date"])
    return f"""\
## Over seeds

last measured {results.told(about)} · `python -m loadtests.bench_recipes --seeds 5`

A seed decides how a network begins and what it is shown when; it also decides the split, and what is drawn, so that
each seed has a test part and baselines of its own. Of series (sunspots, CO2) it decides the fit alone: time cuts those,
and their figures are of one test part, by networks that began differently.

{results.table(COLUMNS, [_row(one) for one in entries.values()])}
The recipe's own seed and those after it, nothing left out. Won, tied and lost count seeds by points. Better and worse
count those where the 95 % interval of the difference to that baseline, by bootstrap of both on the same inputs, doesn't
hold zero."""


def _row(entry: Mapping[str, Any]) -> Sequence[str]:
    found = {int(seed): msgspec.convert(one, Summary) for seed, one in entry["summaries"].items()}
    summaries = list(found.values())
    first = summaries[0]
    rivals = [one.baseline_value for one in summaries if one.baseline_value is not None]
    tied = sum(one.baseline_value == one.figure.value for one in summaries)
    lost = sum(one.loses for one in summaries)
    said = [one.verdict for one in summaries if one.verdict is not None]
    in_pairs = [sum(one == kind for one in said) for kind in ("better", "equal within the interval", "worse")]
    names = " or ".join(dict.fromkeys(one.baseline for one in summaries if one.baseline is not None))
    return (
        f"{first.recipe} ({first.profile})",
        ", ".join(map(str, found)),
        first.headline,
        _spread([one.figure.value for one in summaries]),
        f"{names} {_spread(rivals)}" if rivals else "",
        f"{len(rivals) - tied - lost} / {tied} / {lost}" if rivals else "",
        " / ".join(map(str, in_pairs)) if said else "",
        f"{entry['date']}, {entry['commit']}",
    )


def _spread(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4g} [{min(values):.4g}, {max(values):.4g}]"
