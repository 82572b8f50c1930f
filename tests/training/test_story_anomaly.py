"""The story of an autoencoder that finds anomalies, by the command line and the real service."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from service.artifact.card import load_card
from service.artifact.config import read_config
from service.errors import SettingsError
from training.__main__ import app
from training.data import catalogue, digits
from training.data.digits import DigitsSettings
from training.data.material import Material
from training.metrics.anomaly import threshold
from training.problems.anomaly import Anomaly
from training.recipe import load_any
from training.session import Tensors, open_model

FAMILY = "digits-anomalies"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anomalies")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    words = ["publish", FAMILY, "--profile", "tiny", "--runs", str(folder / "runs"), "--json"]
    done = CliRunner().invoke(app, [*words, "--repository", str(folder / "models")])
    assert 0 == done.exit_code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def material() -> Material:
    recipe: Any = load_any(FAMILY, "tiny")
    return catalogue.gather(recipe.data, recipe.seed)


@pytest.fixture(scope="module")
def answers(folder: Path, report: dict[str, Any], material: Material) -> Tensors:
    """Those of the published file to the test part."""
    assert report["published"]
    return open_model(folder / "models" / FAMILY / "1" / "model.onnx")({"image": material.dataset.test.inputs})


def test_what_is_published_ranks_as_the_report_says(
    folder: Path, report: dict[str, Any], material: Material, answers: Tensors
) -> None:
    """Its figures are those of the file's scores, above 1 being an alarm; the card has them."""
    strange, scores = material.dataset.test.targets == 1, answers["score"][:, 0]
    figures = {name: one["value"] for name, one in report["judged"]["scores"]["figures"].items()}
    assert roc_auc_score(strange, scores) == pytest.approx(figures["auroc"])
    assert (scores[strange] > 1).mean() == pytest.approx(figures["detected"])
    assert (scores[~strange] > 1).mean() == pytest.approx(figures["false alarms"])
    assert figures["auroc"] == load_card(folder / "models" / FAMILY / "1" / "card.json").metrics["auroc"]
    assert figures["auroc"] > 0.7


def test_anomalies_are_not_missed_where_nothing_is_learnt_of_them(report: dict[str, Any]) -> None:
    """That the training part has none is the problem, and no finding."""
    assert [] == [one for one in report["findings"] if "has nothing of" in one["text"]]


def test_the_threshold_is_that_of_the_validation_part(folder: Path, report: dict[str, Any], material: Material) -> None:
    """A score is the squared error of the reconstruction, over what a twentieth of the validation images exceed."""
    normal = material.dataset.validation.inputs
    found = open_model(folder / "models" / FAMILY / "1" / "model.onnx")({"image": normal})
    errors = np.square(found["reconstruction"].astype(np.float64) - normal / 255.0).mean(axis=(1, 2, 3))
    limit = report["judged"]["scores"]["figures"]["threshold"]["value"]
    assert threshold(errors, 0.05) == pytest.approx(limit, rel=1e-4)
    assert np.allclose(errors / limit, found["score"][:, 0], rtol=1e-3)
    assert 0 < (found["score"] > 1 + 1e-5).mean() <= 0.05


def test_the_config_names_what_is_answered(folder: Path, report: dict[str, Any]) -> None:
    """An image in; a score and an image of its shape out."""
    assert report["published"]
    config = read_config(folder / "models" / FAMILY / "config.pbtxt", name=FAMILY)
    tensors = {one.name: one.shape[-3:] for one in (*config.inputs, *config.outputs)}
    assert (1, 16, 16) == tensors["image"] == tensors["reconstruction"]
    assert (1,) == tensors["score"][-1:]


def test_a_linear_autoencoder_stands_beside(report: dict[str, Any]) -> None:
    """Of as many false alarms asked, on the same part, and better than chance."""
    (name, rival), *others = report["judged"]["baselines"].items()
    assert "principal components" == name
    assert not others
    assert rival["figures"]["auroc"]["value"] > 0.8
    assert report["judged"]["scores"]["figures"]["anomalous"] == rival["figures"]["anomalous"]


def test_examples_are_on_the_wrong_side(report: dict[str, Any], material: Material, answers: Tensors) -> None:
    """Each was missed or a false alarm, the worst first, and is shown beside its reconstruction."""
    examples = report["judged"]["examples"]
    assert examples
    wrong = (answers["score"][:, 0] > 1) != (material.dataset.test.targets == 1)
    errors = [one["error"] for one in examples]
    assert all(wrong[one["place"]] for one in examples)
    assert sorted(errors, reverse=True) == errors
    assert all(one["pictures"].keys() == {"input", "reconstruction"} for one in examples)


def test_anomalies_are_not_learnt_from() -> None:
    """Ten digits, of which nine aren't normal, are refused before anything is trained."""
    with pytest.raises(SettingsError, match=r"data: train: has anomalies, and only what is normal \(class 0\)"):
        Anomaly().decided(digits.material(DigitsSettings(), 7))


def test_settings_that_make_no_sense_are_refused() -> None:
    """A rate of false alarms is a share, and not all."""
    with pytest.raises(ValueError, match="false_alarms"):
        Anomaly(false_alarms=1.0)
