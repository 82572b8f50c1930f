"""The story of embeddings, tested on digits that were never learnt."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from service.artifact.config import read_config
from service.errors import SettingsError
from tests.training.told import asked, model, published, tiny
from training.data import retrieval as source
from training.data.batches import Batch
from training.data.material import Material
from training.metrics import retrieval
from training.metrics.retrieval import Episodes
from training.session import open_model
from training.tasks.contrastive import Contrastive

FAMILY = "digits-embeddings"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("retrieval")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return published(folder, FAMILY)


@pytest.fixture(scope="module")
def material() -> Material:
    return source.material(tiny(FAMILY).data, 7)


@pytest.fixture(scope="module")
def embeddings(folder: Path, report: dict[str, Any], material: Material) -> np.ndarray[Any, Any]:
    """What the published file answers of the test part."""
    assert report["goal_met"]
    return open_model(model(folder, FAMILY))({"image": material.dataset.test.inputs})["embedding"]


def test_what_is_published_answers_as_the_report_says(
    embeddings: np.ndarray[Any, Any], report: dict[str, Any], material: Material
) -> None:
    """Neighbours and a few examples, by vectors of length 1; the test part has only what was never learnt."""
    test, figures = material.dataset.test, report["judged"]["scores"]["figures"]
    assert np.allclose(1, np.linalg.norm(embeddings, axis=1), atol=1e-5)
    found = retrieval.measure(embeddings, test.targets, test.sources)
    assert found.map_at_r.value == pytest.approx(figures["map at r"]["value"], abs=1e-6)
    assert found.recall[1].value == pytest.approx(figures["recall at 1"]["value"], abs=1e-6)
    episodes = retrieval.few_shot(embeddings, test.targets, test.sources, Episodes(ways=3))
    assert episodes.value == pytest.approx(figures["few-shot accuracy"]["value"], abs=1e-6)
    assert not set(test.targets) & set(material.dataset.train.targets)


def test_a_network_that_embeds_nothing_misses_the_goal(report: dict[str, Any], material: Material) -> None:
    """Vectors by chance find less than is asked."""
    test = material.dataset.test
    chance = np.random.default_rng(3).normal(size=(len(test), 32))
    assert retrieval.measure(chance, test.targets, test.sources).map_at_r.value < asked(FAMILY)
    assert report["judged"]["scores"]["figures"]["map at r"]["value"] >= asked(FAMILY)


def test_the_config_describes_the_file(folder: Path, report: dict[str, Any]) -> None:
    """Pixels to 32 numbers, which have no labels."""
    assert report["published"]
    config = read_config(folder / "models" / FAMILY / "config.pbtxt", name=FAMILY)
    (taken,), (given,) = config.inputs, config.outputs
    assert ("image", (1, 8, 8), "embedding", (32,)) == (taken.name, taken.shape, given.name, given.shape)
    assert not (folder / "models" / FAMILY / "labels.txt").exists()


def test_pixels_are_the_baseline(report: dict[str, Any], material: Material) -> None:
    """Neighbours on pixels, computed anew."""
    test = material.dataset.test
    found = retrieval.measure(test.inputs.reshape(len(test), -1) / 255, test.targets, test.sources)
    rival = report["judged"]["baselines"]["pixels"]["figures"]
    assert found.map_at_r.value == pytest.approx(rival["map at r"]["value"], abs=1e-6)


def test_examples_have_another_digit_nearest(
    embeddings: np.ndarray[Any, Any], report: dict[str, Any], material: Material
) -> None:
    """Both are shown, and the nearest is of another class, the worst first."""
    test, examples = material.dataset.test, report["judged"]["examples"]
    far = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    np.fill_diagonal(far, np.inf)
    assert examples
    for one in examples:
        nearest = int(far[one["place"]].argmin())
        assert str(test.targets[one["place"]]) == one["wanted"]
        assert one["answered"].startswith(str(test.targets[nearest]))
        assert one["wanted"] != one["answered"][0]
        assert {"input", "nearest"} == set(one["pictures"])
    errors = [one["error"] for one in examples]
    assert errors == sorted(errors, reverse=True)


def test_answers_of_another_length_are_refused() -> None:
    """Logits aren't embeddings: said before they are learnt from."""
    batch = Batch(inputs=torch.full((4, 3), 2.0), targets=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(SettingsError, match="aren't embeddings of length 1"):
        Contrastive()(nn.Identity(), batch)
