"""The story of one network for one problem, by the command line and the real service, on a small table."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from service.artifact.card import load_card, verify_files
from service.artifact.config import read_config
from tests.signing_keys import RequireTool, make_keys
from training import summary
from training.__main__ import app
from training.data import tabular
from training.data.material import Material
from training.data.tabular import TabularSettings
from training.metrics import classification
from training.problems.classification import Classification
from training.session import open_model

FAMILY = "breast-cancer"


def told(folder: Path, *words: str) -> dict[str, Any]:
    """What a verb prints as JSON."""
    done = CliRunner().invoke(app, [*words, FAMILY, "--profile", "tiny", "--runs", str(folder / "runs"), "--json"])
    assert 0 == done.exit_code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("network")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    return told(folder, "publish", "--repository", str(folder / "models"))


@pytest.fixture(scope="module")
def material() -> Material:
    return tabular.material(TabularSettings(), 7)


def test_what_is_published_answers_as_the_report_says(folder: Path, report: dict[str, Any], material: Material) -> None:
    """The figures of the report are those of the published file on the test part, and its card has them."""
    version = folder / "models" / FAMILY / "1"
    test = material.dataset.test
    answers = open_model(version / "model.onnx")({"features": test.inputs})
    found = classification.measure(answers["probabilities"], test.targets, test.sources, material.dataset.classes)
    figures = report["judged"]["scores"]["figures"]
    assert found.accuracy.value == pytest.approx(figures["accuracy"]["value"])
    assert found.f1.mean.value == pytest.approx(figures["f1"]["value"])
    assert [list(row) for row in found.confusion] == report["judged"]["scores"]["confusion"]
    card = load_card(version / "card.json")
    verify_files(card, version)
    assert figures["accuracy"]["value"] == card.metrics["accuracy"]
    assert report["goal"] == card.evidence["verdict"]


def test_the_config_describes_the_file(folder: Path, report: dict[str, Any]) -> None:
    """Names, types and shapes are the graph's; classes have names; requests are batched."""
    assert report["published"]
    config = read_config(folder / "models" / FAMILY / "config.pbtxt", name=FAMILY)
    (taken,), (given,) = config.inputs, config.outputs
    assert ("features", (30,), "probabilities", (2,)) == (taken.name, taken.shape[-1:], given.name, given.shape[-1:])
    assert "malignant\nbenign\n" == (folder / "models" / FAMILY / "labels.txt").read_text()


def test_baselines_stand_beside_the_network(report: dict[str, Any], material: Material) -> None:
    """The commonest class gets its share of the test part right, and a linear model more."""
    rivals = {name: one["figures"]["accuracy"]["value"] for name, one in report["judged"]["baselines"].items()}
    shares = np.bincount(material.dataset.test.targets) / len(material.dataset.test)
    assert rivals["majority class"] == pytest.approx(shares.max())
    assert rivals["logistic regression"] > 0.9


def test_examples_are_the_surest_mistakes(folder: Path, report: dict[str, Any], material: Material) -> None:
    """Each was answered wrongly, and none that was is surer than the first."""
    test = material.dataset.test
    answers = open_model(folder / "models" / FAMILY / "1" / "model.onnx")({"features": test.inputs})["probabilities"]
    wrong = answers.argmax(axis=1) != test.targets
    places = [one["place"] for one in report["judged"]["examples"]]
    assert places
    assert all(wrong[place] for place in places)
    assert answers[wrong].max() == pytest.approx(report["judged"]["examples"][0]["error"], abs=1e-4)


def test_golden_samples_are_what_the_file_answers(folder: Path, report: dict[str, Any]) -> None:
    """Eight rows and the answers that this very file gave."""
    assert report["published"]
    with np.load(folder / "models" / FAMILY / "1" / "golden.npz") as golden:
        rows, expected = golden["input.features"], golden["output.probabilities"]
    answers = open_model(folder / "models" / FAMILY / "1" / "model.onnx")({"features": rows})
    assert np.allclose(expected, answers["probabilities"], atol=1e-6)
    assert 8 == len(rows)


def test_the_run_is_told_on_a_page_and_in_a_line(folder: Path, report: dict[str, Any]) -> None:
    """Beside report.json lie its page and a summary, with the figure that decides and the best baseline."""
    page = (folder / "runs" / FAMILY / "tiny" / "report" / "report.html").read_text()
    kept = summary.latest(folder / "runs", FAMILY)
    assert kept is not None
    told = kept.summary
    assert report["judged"]["scores"]["figures"]["accuracy"]["value"] == told.figure.value
    assert "logistic regression" == told.baseline
    assert report["judged"]["baselines"]["logistic regression"]["figures"]["accuracy"]["value"] == told.baseline_value
    assert f"<b>{told.figure.value:.4g}</b>" in page
    assert told.loses == (told.figure.value < (told.baseline_value or 0))


def test_a_second_run_does_nothing_again(folder: Path, report: dict[str, Any]) -> None:
    """The same figures, and no new version."""
    again = told(folder, "publish", "--repository", str(folder / "models"))
    assert report["judged"]["scores"] == again["judged"]["scores"]
    assert [(1, False)] == [(one["version"], one["new"]) for one in again["published"]]


def test_its_card_is_signed_on_demand(
    folder: Path, report: dict[str, Any], tmp_path: Path, require_tool: RequireTool
) -> None:
    """With `--sign`, labels and all."""
    assert report["published"]
    keys = make_keys(require_tool("openssl"), tmp_path)
    told(folder, "publish", "--repository", str(tmp_path / "models"), "--sign", str(keys.private))
    card = load_card(tmp_path / "models" / FAMILY / "1" / "card.json")
    assert (keys.name, {"labels.txt"}) == (card.signer, set(card.beside))


def test_training_tells_what_was_learnt(folder: Path, report: dict[str, Any]) -> None:
    """`train` names the checkpoint and the network's facts."""
    learned = told(folder, "train")
    assert Path(learned["checkpoint"]).is_file()
    assert report["network"]["parameters"] == learned["parameters"]
    assert "mlp" == learned["kind"]


def test_a_form_is_written_where_it_is_wanted(folder: Path, report: dict[str, Any]) -> None:
    """`export` copies the file; a variant that isn't there is refused with those that are."""
    assert report["published"]
    words = ["--profile", "tiny", "--runs", str(folder / "runs")]
    done = CliRunner().invoke(app, ["export", FAMILY, "classifier", "--to", str(folder), *words])
    assert 0 == done.exit_code, done.stderr
    published = folder / "models" / FAMILY / "1" / "model.onnx"
    assert published.read_bytes() == (folder / f"{FAMILY}.onnx").read_bytes()
    refused = CliRunner().invoke(app, ["export", FAMILY, "int8", "--to", str(folder), *words])
    assert 2 == refused.exit_code
    assert "no variant `int8`; there are classifier" in refused.stderr


def test_classes_can_be_balanced(material: Material) -> None:
    """To balance, a rare class weighs more, so that both count for as much."""
    counts = np.bincount(material.dataset.train.targets)
    weights = Classification(balance=True).task(Classification.learns(), material).class_weights
    assert weights[0] * counts[0] == pytest.approx(weights[1] * counts[1])


def test_a_class_that_is_called_otherwise_is_told_anew(tmp_path: Path) -> None:
    """The table's labels are renamed: figures stay, and report and card say the new names."""
    random = np.random.default_rng(3)
    rows = [(*random.normal(label, 1, 3), label) for label in (0, 1) * 40]

    def published(names: tuple[str, str]) -> dict[str, Any]:
        lines = [f"{a:.3f},{b:.3f},{c:.3f},{names[label]}" for a, b, c, label in rows]
        (tmp_path / "goods.csv").write_text("\n".join(["a,b,c,kind", *lines]))
        (tmp_path / "goods.yaml").write_text(
            f"""
kind: network
about: Goods
family: goods
seed: 1
threads: 1
data: {{source: table, path: {tmp_path / "goods.csv"}, target: kind}}
problem: {{kind: classification}}
network: {{kind: mlp, widths: [8]}}
fit: {{epochs: 3, batch_size: 16}}
evaluate: {{rounds: 1, requests: 2, batch_sizes: [1]}}
goal: {{match_baselines: false}}
profiles: {{quick: {{}}}}
"""
        )
        words = ["publish", str(tmp_path / "goods.yaml"), "--runs", str(tmp_path), "--repository", str(tmp_path / "m")]
        done = CliRunner().invoke(app, [*words, "--json"])
        assert 0 == done.exit_code, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first, second = published(("bad", "good")), published(("poor", "rich"))
    assert {"bad", "good"} == set(first["judged"]["scores"]["by"]["f1"])
    assert {"poor", "rich"} == set(second["judged"]["scores"]["by"]["f1"])
    card = load_card(tmp_path / "m" / "goods" / str(second["published"][0]["version"]) / "card.json")
    assert {"poor", "rich"} == set(card.evidence["scores"]["by"]["f1"])
