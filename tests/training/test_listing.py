"""The list of recipes: the bundled ones, those of one's own that have a result, and how long each takes."""

import io
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.training.summaries import WINE, keep
from training import listing
from training.listing import Listed, listed, print_listed
from training.recipe import recipe_names

OWN = replace(
    WINE,
    recipe="goods",
    profile="tiny",
    about="Which goods are good",
    baseline_value=0.5,
    parameters=10,
    fit_seconds=12.4,
    data="table",
)


def shown(found: tuple[Listed, ...]) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_listed(found, console)
    told: str = console.file.getvalue()  # type: ignore[attr-defined]
    return told


@pytest.fixture(autouse=True)
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the table of all recipes would be, which nobody has written."""
    path = tmp_path / "recipes.json"
    monkeypatch.setattr(listing, "MEASURED", path)
    return path


def test_recipes_of_ones_own_are_listed_once_they_have_a_result(tmp_path: Path) -> None:
    """Behind the bundled ones, by what their last run told; a folder without a result is nothing."""
    runs = tmp_path / "runs"
    keep(runs, OWN)
    keep(runs, replace(OWN, profile="quick"))
    keep(runs, replace(OWN, recipe="wine"))
    (runs / "models" / "goods" / "1").mkdir(parents=True)
    (runs / "unfinished" / "quick").mkdir(parents=True)
    found = listed(runs)
    assert [*recipe_names(), "goods"] == [one.recipe for one in found]
    own = found[-1]
    assert (True, "Which goods are good", "classification") == (own.own, own.about, own.problem)
    assert ("table", "mlp", ("quick", "tiny")) == (own.data, own.network, own.profiles)
    assert not any(one.own for one in found[:-1])
    lines = [line.split() for line in shown(found).splitlines() if line.startswith(" goods")]
    assert ["classification", "table", "mlp", "12"] == lines[0][5:9]
    assert ["accuracy", "0.9", "[0.8,", "0.95]", "met"] == lines[1][1:6]


def test_a_recipe_that_never_ran_here_takes_what_it_took_elsewhere(tmp_path: Path, measured: Path) -> None:
    """By the table of all recipes, if there is one; a run of one's own says more."""
    runs = tmp_path / "runs"
    assert {None} == {one.expected for one in listed(runs)}
    entry = {"summary": msgspec.to_builtins(replace(OWN, recipe="wine", profile="quick", fit_seconds=75.2))}
    measured.write_text(json.dumps({"recipes": {"wine": entry}}))
    found = {one.recipe: one for one in listed(runs)}
    assert found["wine"].expected is not None
    assert found["diabetes"].expected is None
    assert "~75 (quick)" in shown(listed(runs))
    keep(runs, replace(OWN, recipe="wine"))
    assert "~" not in shown(listed(runs)).replace("~ where", "")
    assert "12 (tiny)" in shown(listed(runs))
