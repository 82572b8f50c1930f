"""A tiny network, trained once for all tests, and its files."""

from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from training.__main__ import app
from training.compression.quantization.post_training import quantize
from training.compression.quantization.settings import CalibrationSettings
from training.data import digits
from training.data.batches import Batches
from training.data.split import Dataset
from training.data.transforms.jitter import Jitter
from training.export import INPUT, Probabilities, export
from training.fit import Fit
from training.networks.resnet import ResNet, ResNetConfig, build
from training.optimization.settings import FitSettings
from training.recipe import Recipe, load_recipe
from training.tasks.classification import Classification

CONFIG = ResNetConfig(widths=(16, 32), mean=0.3, deviation=0.37)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    # One: on a machine that others use too, two threads that wait for each other are slower than one.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe("digits", "tiny")


@pytest.fixture(scope="session")
def dataset(recipe: Recipe) -> Dataset:
    return digits.load(recipe.data, recipe.seed)


@pytest.fixture
def quiet() -> Console:
    return Console(file=StringIO())


@pytest.fixture(scope="session")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> ResNet:
    """A network that has learnt something."""
    network = build(CONFIG, seed=1)
    batches = Batches(dataset.train, size=64, transforms=[Jitter(rotation=5, shift=0.05, scale=0.05)], seed=1)
    settings = FitSettings(epochs=4, learning_rate=0.01, warmup=0.25)
    fit = Fit(network, Classification(), batches, dataset.validation, settings)
    fit.run(tmp_path_factory.mktemp("fit"), Console(file=StringIO()))
    return network


@pytest.fixture(scope="session")
def teacher(trained: ResNet, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained network as ONNX."""
    path = tmp_path_factory.mktemp("teacher") / "model.onnx"
    export(Probabilities(trained), [dataset.validation.inputs], path)
    return path


@pytest.fixture(scope="session")
def int8(teacher: Path, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher, quantized."""
    path = tmp_path_factory.mktemp("int8") / "model.onnx"
    quantize(teacher, path, {INPUT: dataset.train.inputs[:128]}, CalibrationSettings())
    return path


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs` and `models`: the tiny profile, told once for all tests, measured through the real service.

    Who wants to change something there takes a copy.
    """
    folder = tmp_path_factory.mktemp("story")
    words = ["publish", "digits", "--profile", "tiny", "--runs", str(folder / "runs"), "--json"]
    told = CliRunner().invoke(app, [*words, "--repository", str(folder / "models")])
    assert told.exit_code == 0, told.stderr
    (folder / "told.json").write_text(told.stdout)
    (folder / "told.log").write_text(told.stderr)
    return folder
