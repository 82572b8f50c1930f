"""The story of a network's recipe, told by the real command line and measured through the real service."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from service.artifact.config import ModelConfig, read_config
from training.__main__ import app
from training.data import catalogue
from training.data.material import Material
from training.network_recipe import NetworkRecipe
from training.recipe import load_any
from training.session import Tensors, open_model
from training.steps.teaching import Learned

CLOSE = 1e-4
"""What figures may differ by, whatever batches the service makes."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """A `folder` with `runs` and `models`, what was told there of the `recipe`, and the data that it was told of."""

    folder: Path
    recipe: NetworkRecipe
    material: Material
    report: Mapping[str, Any]

    @property
    def version(self) -> Path:
        """The folder of the published version."""
        return self.folder / "models" / self.recipe.family / "1"

    @property
    def config(self) -> ModelConfig:
        """The published model's config."""
        return read_config(self.version.parent / "config.pbtxt", name=self.recipe.family)

    def answers(self) -> Tensors:
        """What the published file answers to the test part."""
        network: Any = Learned.load  # no problem here asks it
        requests = self.recipe.problem.requests(network, self.material.dataset.test, self.recipe.seed)
        return open_model(self.version / "model.onnx")(requests)


def tell(folder: Path, name: str) -> Story:
    """Publish the tiny profile of the recipe `name`, a bundled one or a file."""
    words = ["publish", name, "--profile", "tiny", "--runs", str(folder / "runs"), "--json"]
    told = CliRunner().invoke(app, [*words, "--repository", str(folder / "models")])
    assert told.exit_code == 0, told.stderr
    recipe = load_any(name, "tiny")
    assert isinstance(recipe, NetworkRecipe)
    material = catalogue.gather(recipe.data, recipe.seed)
    return Story(folder=folder, recipe=recipe, material=material, report=msgspec.json.decode(told.stdout))


def check_figures(story: Story) -> None:
    """The report says what the published file comes to, and each baseline beside it, by the problem's own measure.

    It says by how much they differ in pairs, which is what their figures differ by.
    """
    problem, test = story.recipe.problem, story.material.dataset.test
    told = story.report["judged"]
    rivals = problem.baselines(story.material)
    assert set(rivals) == set(told["baselines"])
    for answers, scores in [
        (story.answers(), told["scores"]),
        *((rivals[one], told["baselines"][one]) for one in rivals),
    ]:
        for name, figure in problem.measure(answers, test, story.material).figures.items():
            assert asdict(figure) == pytest.approx(scores["figures"][name], rel=CLOSE, abs=CLOSE), name
    assert set(told["differences"]) == set(rivals)
    for name, one in told["differences"].items():
        figures = (told["scores"], told["baselines"][name])
        apart = [each["figures"][problem.headline]["value"] for each in figures]
        assert apart[0] - apart[1] == pytest.approx(one["value"], rel=CLOSE, abs=CLOSE)
        assert one["low"] <= one["value"] <= one["high"]


def check_goal(story: Story) -> None:
    """The recipe's value is asked for, and was reached; a broken network wouldn't."""
    problem, judged = story.recipe.problem, story.report["judged"]
    better = problem.better[problem.headline]
    figure = judged["scores"]["figures"][problem.headline]["value"]
    simplest = next(iter(judged["baselines"].values()))["figures"][problem.headline]["value"]
    value = story.recipe.goal.value
    assert value is not None
    assert figure >= value > simplest if better == "larger" else figure <= value
    assert story.report["goal_met"]
    assert story.report["goal"].startswith(f"goal met: {problem.headline} {figure:.4g} [")
