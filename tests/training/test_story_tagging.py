"""The stories of tokens that have tags, by an encoder and by an LSTM that reads both ways."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.artifact.config import read_config
from tests.training.told import asked, model, published, tiny
from training.baselines.frequent_tag import FrequentTag
from training.data import source_code
from training.data.material import Material
from training.data.split import NO_TAG, Dataset, Split
from training.metrics import tagging
from training.problems.tagging import Tagging
from training.session import open_model

RECIPES = ("code-tags", "code-tags-lstm")
each_recipe = pytest.mark.parametrize("recipe", RECIPES)


@dataclass(frozen=True)
class Told:
    """What was published of one recipe."""

    folder: Path
    family: str
    report: dict[str, Any]

    def answers(self, ids: np.ndarray[Any, Any]) -> Any:
        """Tags and probabilities of the published file."""
        return open_model(model(self.folder, self.family))({"ids": ids})


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """By recipe."""
    folder = tmp_path_factory.mktemp("tagging")
    return {recipe: Told(folder, recipe, published(folder, recipe)) for recipe in RECIPES}


@pytest.fixture(scope="module")
def material() -> Material:
    """What both recipes learn from."""
    return source_code.material(tiny("code-tags").data, 7)


@each_recipe
def test_what_is_published_answers_as_the_report_says(
    stories: dict[str, Told], material: Material, recipe: str
) -> None:
    """Tags are the likeliest ones, and as often right as the report says."""
    told, test = stories[recipe], material.dataset.test
    answers = told.answers(test.inputs)
    assert np.array_equal(answers["probabilities"].argmax(axis=2), answers["tags"])
    found = tagging.measure(answers["tags"], test.targets, test.sources, material.dataset.classes)
    scores = told.report["judged"]["scores"]
    assert found.accuracy.value == pytest.approx(scores["figures"]["accuracy"]["value"], abs=1e-4)
    assert found.f1.mean.value == pytest.approx(scores["figures"]["f1"]["value"], abs=1e-3)
    assert (test.targets != NO_TAG).sum() == np.sum(scores["confusion"])


@each_recipe
def test_a_network_that_says_one_tag_misses_the_goal(stories: dict[str, Told], material: Material, recipe: str) -> None:
    """The commonest tag is right less often than is asked of the network, which is met."""
    targets = material.dataset.test.targets
    commonest = np.bincount(targets[targets != NO_TAG]).max() / (targets != NO_TAG).sum()
    assert commonest < asked(recipe)
    assert stories[recipe].report["goal_met"]


@each_recipe
def test_the_config_describes_the_file(stories: dict[str, Told], recipe: str) -> None:
    """Texts of any length; tags are numbers, whose names lie beside; the tokenizer comes along."""
    told = stories[recipe]
    folder = told.folder / "models" / recipe
    config = read_config(folder / "config.pbtxt", name=recipe)
    (taken,), given = config.inputs, {one.name: one.shape for one in config.outputs}
    assert ("ids", (-1,)) == (taken.name, taken.shape)
    assert {"tags": (-1,), "probabilities": (-1, 6)} == given
    assert list(source_code.CLASSES) == (folder / "labels.txt").read_text().split()
    assert (folder / "1" / "tokenizer.json").is_file()


@each_recipe
def test_a_text_of_any_length_is_tagged_alone_as_padded(
    stories: dict[str, Told], material: Material, recipe: str
) -> None:
    """What is behind a text changes nothing of it."""
    ids = material.dataset.test.inputs[:2].copy()
    ids[:, 20:] = 0
    padded, alone = stories[recipe].answers(ids), stories[recipe].answers(ids[:, :20])
    assert np.allclose(alone["probabilities"], padded["probabilities"][:, :20], atol=1e-5)


def test_the_frequent_tag_is_the_baseline(stories: dict[str, Told], material: Material) -> None:
    """What each token is most often, computed anew."""
    test = material.dataset.test
    said = FrequentTag(material.dataset.train, tags=6).predict(test.inputs)
    there = test.targets != NO_TAG
    rival = stories["code-tags"].report["judged"]["baselines"]["frequent tag"]["figures"]["accuracy"]["value"]
    assert (said == test.targets)[there].mean() == pytest.approx(rival)


@each_recipe
def test_examples_are_text_with_tags(stories: dict[str, Told], recipe: str) -> None:
    """The same words with other tags behind them, the worst first."""
    examples = stories[recipe].report["judged"]["examples"]
    assert examples
    for one in examples:
        assert one["wanted"] != one["answered"]
        assert any(f"/{tag}" in one["wanted"] for tag in source_code.CLASSES)
    errors = [one["error"] for one in examples]
    assert errors == sorted(errors, reverse=True)


def test_examples_say_what_was_wanted_and_found() -> None:
    """Without a tokenizer ids stand for themselves; stretches of a tag go together, what has none is told without."""
    split = Split(
        inputs=np.array([[3, 4, 5, 6, 0]]), targets=np.array([[0, 0, NO_TAG, 1, NO_TAG]]), sources=np.array([0])
    )
    material = Material(dataset=Dataset(train=split, validation=split, test=split, classes=("a", "b")), vocabulary=7)
    likely = np.array([[[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.1, 0.9], [0.5, 0.5]]])
    (one,) = Tagging().examples({"tags": likely.argmax(axis=2), "probabilities": likely}, split, material)
    assert ("3 4/a 5 6/b 0", "3/a 4/b 5 6/b 0") == (one.wanted, one.answered)
    assert one.error == pytest.approx(0.8)
