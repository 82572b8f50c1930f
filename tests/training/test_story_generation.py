"""The stories of networks that make images, by the command line and the real service."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from service.artifact.card import load_card
from service.artifact.config import read_config
from service.errors import SettingsError
from training import checkpoint
from training.__main__ import app
from training.data import catalogue, tabular
from training.data.material import Material
from training.data.tabular import TabularSettings
from training.metrics import generation
from training.metrics.features import FeatureNetwork
from training.networks.catalogue import build
from training.networks.variational import VariationalConfig
from training.pictures import as_bytes
from training.problems.generation import Generation
from training.recipe import load_any
from training.session import open_model


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a recipe left in `folder`, its report and its data."""

    family: str
    folder: Path
    report: dict[str, Any]
    material: Material

    @property
    def version(self) -> Path:
        """The folder of the published version."""
        return self.folder / "models" / self.family / "1"

    @property
    def figures(self) -> dict[str, float]:
        """What the network came to."""
        return {name: one["value"] for name, one in self.report["judged"]["scores"]["figures"].items()}

    def step(self, name: str) -> Path:
        """The folder of a step."""
        return self.folder / "runs" / self.family / "tiny" / name


@pytest.fixture(scope="module", params=["digits-vae", "digits-gan"])
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp(request.param)
    words = ["publish", request.param, "--profile", "tiny", "--runs", str(folder / "runs"), "--json"]
    done = CliRunner().invoke(app, [*words, "--repository", str(folder / "models")])
    assert 0 == done.exit_code, done.stderr
    recipe: Any = load_any(request.param, "tiny")
    material = catalogue.gather(recipe.data, recipe.seed)
    return Story(family=request.param, folder=folder, report=json.loads(done.stdout), material=material)


def test_what_is_published_makes_what_was_judged(story: Story) -> None:
    """The figures are those of images that the file makes of the recipe's noise, seen by the step's classifier."""
    test, recipe = story.material.dataset.test, load_any(story.family, "tiny")
    network = checkpoint.load_network(story.step("fit") / "network.safetensors", nn.Module)
    noise = Generation().requests(network, test, recipe.seed)["noise"]
    images = open_model(story.version / "model.onnx")({"noise": noise})["image"]
    classifier = checkpoint.load_network(story.step("classifier") / "network.safetensors", nn.Module)
    view = FeatureNetwork(classifier, "10-class")
    found = generation.measure(view(test.inputs), view(as_bytes(images)), test.sources)
    assert found.frechet_distance.value == pytest.approx(story.figures["frechet distance"], rel=1e-3)
    assert found.precision.value == pytest.approx(story.figures["precision"], abs=0.01)
    assert view.name == story.report["judged"]["scores"]["features"]
    card = load_card(story.version / "card.json")
    assert story.figures["frechet distance"] == card.metrics["frechet_distance"]
    assert not card.transforms


def test_the_config_takes_noise(story: Story) -> None:
    """So many numbers in, an image of the data's shape out."""
    config = read_config(story.folder / "models" / story.family / "config.pbtxt", name=story.family)
    (taken,), (given,) = config.inputs, config.outputs
    code = story.report["network"]["config"]["code"]
    assert ("noise", code, "image") == (taken.name, taken.shape[-1], given.name)
    assert story.material.dataset.test.inputs.shape[1:] == given.shape[-3:]


def test_a_baseline_and_real_images_stand_beside(story: Story) -> None:
    """Real images are far nearer to real ones than any other, for the network and for its baseline alike."""
    ((name, rival),) = story.report["judged"]["baselines"].items()
    told = {key: one["value"] for key, one in rival["figures"].items()}
    real = "frechet distance of real images"
    assert "principal gaussian" == name
    assert story.figures[real] == told[real]
    assert story.figures[real] < min(told["frechet distance"], story.figures["frechet distance"]) / 2


def test_the_network_has_learnt(story: Story) -> None:
    """Its images are nearer to real ones than those of the same network before it learnt."""
    recipe: Any = load_any(story.family, "tiny")
    learnt = checkpoint.load_network(story.step("fit") / "network.safetensors", nn.Module)
    part, test = recipe.problem.part, story.material.dataset.test
    fresh = build(learnt.config, seed=1).eval().get_submodule(part)
    classifier = checkpoint.load_network(story.step("classifier") / "network.safetensors", nn.Module)
    view = FeatureNetwork(classifier, "10-class")
    with torch.inference_mode():
        noise = torch.from_numpy(recipe.problem.requests(learnt, test, recipe.seed)["noise"])
        images = as_bytes(fresh(noise).numpy())
    before = generation.measure(view(test.inputs), view(images), test.sources).frechet_distance.value
    goal = recipe.goal.value
    assert story.figures["frechet distance"] <= goal < before


def test_examples_are_images_beside_the_nearest_real_ones(story: Story) -> None:
    """Two pictures each, and how far apart they are."""
    examples = story.report["judged"]["examples"]
    assert 12 == len(examples)
    assert all(one["pictures"].keys() == {"generated", "nearest"} and one["error"] > 0 for one in examples)


def test_noise_is_decided_by_its_seed() -> None:
    """The same for the same seed, as much of it as the network takes."""
    network = build(VariationalConfig(code=3), seed=1)
    test = tabular.material(TabularSettings(), 7).dataset.test
    one, same, other = (Generation().requests(network, test, seed)["noise"] for seed in (1, 1, 2))
    assert (len(test), 3) == one.shape
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_what_is_no_picture_is_refused() -> None:
    """Rows of numbers aren't made, nor are there anomalies among them."""
    with pytest.raises(SettingsError, match="for pictures"):
        Generation().decided(tabular.material(TabularSettings(), 7))
