"""Recipes that tell classes apart, from data to what the service answers: pictures and rows of numbers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.training.stories import Story, check_figures, check_goal, tell
from training import serving
from training.__main__ import app
from training.commands.outcome import GOAL_MISSED
from training.recipe import RECIPES

INPUTS = {
    "digits-mlp": ("image", "UINT8", (1, 12, 12), "mlp"),
    "digits-cnn": ("image", "UINT8", (1, 12, 12), "resnet"),
    "digits-depthwise": ("image", "UINT8", (1, 12, 12), "depthwise"),
    "wine": ("features", "FP32", (13,), "mlp"),
}


@pytest.fixture(scope="module", params=INPUTS)
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp(request.param), request.param)


def test_the_report_says_what_is_published(story: Story) -> None:
    """Figures of the file and of the baselines, the goal, and the network's kind, as the recipe has it."""
    check_figures(story)
    check_goal(story)
    assert INPUTS[story.recipe.name][3] == story.report["network"]["kind"]
    assert {"majority class", "logistic regression"} == set(story.report["judged"]["baselines"])


def test_the_config_names_tensors_and_classes(story: Story) -> None:
    """The input as it is measured, probabilities, and a label a class."""
    name, datatype, dims, _ = INPUTS[story.recipe.name]
    (taken,), (given,) = story.config.inputs, story.config.outputs
    classes = story.material.dataset.classes
    assert (name, datatype, dims) == (taken.name, taken.datatype, tuple(taken.shape))
    assert ("probabilities", "FP32", (len(classes),)) == (given.name, given.datatype, tuple(given.shape))
    assert list(classes) == (story.version.parent / "labels.txt").read_text().splitlines()


def test_examples_are_wrong_answers(story: Story) -> None:
    """The most confident first: what was wanted, what was said, and the picture where there is one."""
    test, names = story.material.dataset.test, story.material.dataset.classes
    answers = story.answers()["probabilities"]
    examples = story.report["judged"]["examples"]
    wrong = np.flatnonzero(answers.argmax(axis=1) != test.targets)
    assert min(len(wrong), 12) == len(examples)
    assert sorted((one["error"] for one in examples), reverse=True) == [one["error"] for one in examples]
    for one in examples:
        assert one["place"] in wrong
        assert names[test.targets[one["place"]]] == one["wanted"]
        assert one["answered"].startswith(f"{names[answers[one['place']].argmax()]} (")
        assert (test.inputs.dtype == np.uint8) == ("input" in one["pictures"])


def test_a_goal_that_is_missed_publishes_nothing(story: Story, tmp_path: Path) -> None:
    """All is there but for the goal, so the same run is found; exit code 4, and an empty repository."""
    path = tmp_path / f"{story.recipe.name}.yaml"
    plain = (RECIPES / path.name).read_text()
    path.write_text(plain.replace("goal: {value: 0", "goal: {value: 1"))
    words = ["publish", str(path), "--profile", "tiny", "--runs", str(story.folder / "runs")]
    told = CliRunner().invoke(app, [*words, "--repository", str(tmp_path / "models")])
    assert GOAL_MISSED == told.exit_code, told.output
    assert "asked is at least 1." in told.output
    assert not list(tmp_path.rglob("model.onnx"))


@pytest.fixture(scope="module")
def served(story: Story) -> Iterator[serving.Served]:
    with serving.serving(story.folder / "models", [story.recipe.family]) as found:
        yield found


def test_the_service_answers_as_the_file(story: Story, served: serving.Served) -> None:
    """The published model, served, says of the test part what its file says."""
    name = INPUTS[story.recipe.name][0]
    found = served.request(story.recipe.family, {name: story.material.dataset.test.inputs[:8]})()
    assert np.allclose(story.answers()["probabilities"][:8], found["probabilities"], atol=1e-6)
