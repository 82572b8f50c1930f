"""What is loaded before an ensemble, and what is unloaded with it."""

from pathlib import Path

import pytest

from service.engine.ensemble.dependencies import Dependencies, circle, composing_first, in_order
from service.engine.generation import READY, Generation
from service.errors import ArtifactError
from service.repository.folder import ModelFolder
from tests.engine.ensemble.doubles import config, model, step

PARTS = {"e": ("a", "f"), "f": ("b", "a"), "g": ("g",), "h": ("i",), "i": ("j", "h")}


def parts(name: str) -> tuple[str, ...]:
    return PARTS.get(name, ())


def ensemble_of(name: str, *models: str) -> Generation:
    steps = [step(one, "x=in", f"y=t{at}" if at else "y=out") for at, one in enumerate(models)]
    made = config(*steps, name=name)
    return Generation(name=name, version="1", state=READY, model=model(name, dict), config=made)


@pytest.mark.parametrize(
    "names, order",
    [
        (["e"], ["a", "b", "f", "e"]),
        (["b", "a", "e"], ["b", "a", "f", "e"]),
        (["g", "a"], ["g", "a"]),
        (["h"], ["j", "i", "h"]),
    ],
)
def test_what_others_are_made_of_comes_first(names: list[str], order: list[str]) -> None:
    """Each once, however many need it; circles have to begin somewhere."""
    assert order == composing_first(names, parts)


def test_circles_are_found() -> None:
    """The way back, from every model on it; one that only leads to a circle isn't on it."""
    assert [("g", "g"), ("h", "i", "h"), ("i", "h", "i"), ()] == [circle(name, parts) for name in "ghie"]


def test_folders_in_order() -> None:
    """What is made of itself has that for its problem, and nothing of it is loaded."""
    found = [
        ModelFolder(name=one.name, path=Path(one.name), config=one.config)
        for one in (ensemble_of("e", "a", "f"), ensemble_of("f", "b"), ensemble_of("h", "i"), ensemble_of("i", "h"))
    ]
    found.append(ModelFolder(name="a", path=Path("a")))
    ordered = in_order(found)

    assert ["a", "f", "e", "i", "h"] == [folder.name for folder in ordered]
    assert "h: an ensemble can't be made of itself: h -> i -> h" == ordered[-1].problem
    assert [None, None, None] == [folder.problem for folder in ordered[:3]]


def test_what_an_ensemble_takes_along() -> None:
    """What is served already isn't loaded again; what was asked for by name, or is needed elsewhere, stays."""
    repository = {one.name: one.config for one in (ensemble_of("e", "a", "f"), ensemble_of("f", "b"))}
    served: list[Generation] = []
    kept = Dependencies(served, repository.get)

    assert ["a", "b", "f"] == kept.missing("e", ())
    served.append(Generation(name="b", version="1", state=READY, model=model("b", dict)))
    assert ["a", "f"] == kept.missing("e", ["b"])
    for name in ("a", "b", "f"):
        kept.loaded(name, asked=name == "b")
    served += [ensemble_of("e", "a", "f"), ensemble_of("f", "b"), ensemble_of("other", "a")]
    assert {"a", "f"} == kept.made_of("e")
    del served[1]  # e
    assert ["f"] == kept.unused({"a", "f"})
    del served[2]  # other
    assert ["a", "f"] == kept.unused({"a", "f"})


def test_names_at_the_start() -> None:
    """Models that are named bring along what they are made of, and those alone go with them."""
    repository = {one.name: one.config for one in (ensemble_of("e", "a", "f"), ensemble_of("f", "b"))}
    kept = Dependencies([], repository.get)

    assert ["a", "b", "f", "e"] == kept.begin(["e", "a"])
    assert ["b", "f"] == kept.unused(["a", "b", "f"])


def test_a_circle_in_the_repository() -> None:
    """Is said before anything is loaded."""
    repository = {one.name: one.config for one in (ensemble_of("h", "i"), ensemble_of("i", "h"))}
    with pytest.raises(ArtifactError, match="an ensemble can't be made of itself: h -> i -> h"):
        Dependencies([], repository.get).missing("h", ())
