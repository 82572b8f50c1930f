"""The whole story of a recipe, told once through the real service: what it leaves, and that it leaves it once."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from service.artifact.card import CARD_NAME, Card, load_card, verify_files
from training import checkpoint, run, serving
from training.compression.pruning.allocation import STEP
from training.data.split import Dataset
from training.errors import ServingError
from training.export import INPUT, OUTPUT
from training.networks.resnet import ResNet
from training.recipe import Recipe
from training.session import open_session
from training.steps.journal import Journal

VARIANTS = ["digits-teacher", "digits-student", "digits-pruned", "digits-int8"]


@pytest.fixture(scope="module")
def told(story: Path) -> dict[str, Any]:
    """The report, as `--json` printed it."""
    found: dict[str, Any] = json.loads((story / "told.json").read_text())
    return found


@pytest.fixture
def copied(story: Path, tmp_path: Path) -> Path:
    """The story's folders, to change something in."""
    for name in ("runs", "models"):
        shutil.copytree(story / name, tmp_path / name)
    return tmp_path


def card_of(story: Path, name: str) -> Card:
    return load_card(story / "models" / name / "1" / CARD_NAME)


def step(story: Path, name: str) -> Path:
    return story / "runs" / "digits" / "tiny" / name


def test_the_story_ends_in_five_published_models(story: Path, told: dict[str, Any]) -> None:
    """Teacher, student, pruned, INT8 and the family's own name, which comes last; each exactly as its card says."""
    assert [*VARIANTS, "digits"] == [one["name"] for one in told["published"]]
    for one in told["published"]:
        folder = story / "models" / one["name"] / str(one["version"])
        assert {"model.onnx", "golden.npz"} == set(load_card(folder / CARD_NAME).files)
        verify_files(load_card(folder / CARD_NAME), folder)


def test_the_family_is_the_chosen_variant(story: Path, told: dict[str, Any]) -> None:
    """The model under the family's name is the chosen variant byte for byte, and its card says which."""
    chosen = told["verdict"]["chosen"]
    assert told["verdict"]["goal_met"]
    assert card_of(story, chosen).files == card_of(story, "digits").files
    assert chosen == card_of(story, "digits").chosen
    assert [None] * 4 == [card_of(story, name).chosen for name in VARIANTS]


def test_cards_tell_where_a_variant_comes_from(story: Path) -> None:
    """The chain of parents leads from INT8 over the network that it was made of to the teacher."""
    parents = {name: card_of(story, name).parent for name in VARIANTS}
    assert parents.pop("digits-int8") in VARIANTS[:3]
    assert {"digits-teacher": None, "digits-student": "digits-teacher", "digits-pruned": "digits-teacher"} == parents


def test_cards_tell_how_a_variant_was_proved(story: Path, told: dict[str, Any], dataset: Dataset) -> None:
    """A card has the report's figures, the images and sources behind them, and the steps that make its input."""
    for name in VARIANTS:
        card, figures = card_of(story, name), told["variants"][name]
        assert figures["accuracy"]["value"] == card.metrics["accuracy"]
        assert figures["compute_ms"]["1"] / 1e3 == card.metrics["compute_seconds"]
        assert len(dataset.test) == card.evidence["images"]["test"]
        assert len(set(dataset.test.sources)) == card.evidence["sources"]["test"]
        assert told["verdict"]["reasons"][name] == card.evidence["verdict"]
        assert figures["mistakes"] == card.evidence["mistakes"]
        assert "ToTensor" == [type(transform).__name__ for transform in card.transforms[INPUT]][-1]
        gain = figures["over_teacher"] or {"size": 1.0, "compute": 1.0, "throughput": 1.0}
        assert [gain["size"], gain["compute"], gain["throughput"]] == [
            card.metrics[metric] for metric in ("shrink", "speedup_compute", "speedup_throughput")
        ]


def test_golden_samples_are_what_the_file_answers(story: Path) -> None:
    """Whoever deploys a model can check it: eight inputs and the answers that this very file gave."""
    for name in [*VARIANTS, "digits"]:
        folder = story / "models" / name / "1"
        with np.load(folder / "golden.npz", allow_pickle=False) as golden:
            assert 8 == len(golden[f"input.{INPUT}"])
            answers = open_session(folder / "model.onnx")(golden[f"input.{INPUT}"])
            assert np.allclose(golden[f"output.{OUTPUT}"], answers, atol=1e-6)


def test_descendants_are_really_smaller(story: Path, told: dict[str, Any], recipe: Recipe) -> None:
    """Student and pruned network have fewer parameters and multiplications, the pruned one as few as was asked."""
    teacher, student, pruned = (told["networks"][name] for name in ("teacher", "student", "pruned"))
    for one in (student, pruned):
        assert one["parameters"] < teacher["parameters"]
        assert one["multiply_adds"] < teacher["multiply_adds"]
    assert pruned["multiply_adds"] <= recipe.prune.keep * teacher["multiply_adds"]
    assert all(width % STEP == 0 for width in pruned["widths"].values())
    sizes = {name: (story / "models" / name / "1" / "model.onnx").stat().st_size for name in VARIANTS}
    assert sizes == {name: figures["size"] for name, figures in told["variants"].items()}
    parent = card_of(story, "digits-int8").parent
    assert parent is not None
    assert sizes["digits-int8"] < sizes[parent] < sizes["digits-teacher"]


def test_networks_are_as_the_report_describes_them(story: Path, told: dict[str, Any]) -> None:
    """The checkpoint at the end of each network's fits has the parameters that are told of it."""
    fits = {"teacher": ["teacher"], "student": ["student"], "pruned": ["prune-1", "prune-2", "fine-tune"]}
    assert fits == {name: facts["steps"] for name, facts in told["networks"].items()}
    assert [one for steps in fits.values() for one in steps] == list(told["fits"])
    for facts in told["networks"].values():
        network = checkpoint.load_network(step(story, facts["steps"][-1]) / "network.safetensors", ResNet)
        assert facts["parameters"] == sum(parameter.numel() for parameter in network.parameters())


def test_the_report_is_written_beside_the_run(story: Path, told: dict[str, Any]) -> None:
    """report.json holds recipe, fits, figures, verdict, machine and commit; report.html is there to be looked at."""
    written = json.loads((step(story, "report") / "report.json").read_text())
    assert {**told, "published": []} == written
    keys = {"recipe", "fits", "networks", "variants", "baselines", "verdict", "machine", "commit", "published"}
    assert keys == set(written)
    assert written["baselines"]["majority class"]["value"] < written["baselines"]["logistic regression"]["value"] < 1
    assert (step(story, "report") / "report.html").stat().st_size > 0


def test_a_second_run_does_nothing_again(copied: Path, told: dict[str, Any], recipe: Recipe, quiet: Console) -> None:
    """With nothing changed every step is found done, the figures are the same, and no version is added."""
    journal = Journal(recipe, copied / "runs", quiet)
    again = run.publish(journal, copied / "models")
    fresh = {"data"} if again.commit == told["commit"] else {"data", "report"}
    assert fresh == {name for name, time in journal.times.items() if not time.cached}
    assert sum(time.seconds for time in journal.times.values()) < 20
    assert told["variants"] == json.loads(again.to_json())["variants"]
    assert [1] * 5 == [one.version for one in again.published]
    assert not any(one.new for one in again.published)


def test_every_step_has_its_time(copied: Path, recipe: Recipe, quiet: Console) -> None:
    """The journal knows of every step how long it took and whether it was done before, in the order of the story."""
    journal = Journal(recipe, copied / "runs", quiet)
    run.publish(journal, copied / "models")
    fits = ["teacher", "student", "prune-1", "prune-2", "fine-tune"]
    files = ["export-teacher", "export-student", "export-pruned", "quantize"]
    assert ["data", *fits, *files, "evaluate", "report", "publish"] == list(journal.times)
    assert all(time.seconds >= 0 for time in journal.times.values())


def test_a_step_that_is_stale_is_done_again_and_what_stands_on_the_same_files_is_not(
    copied: Path, recipe: Recipe, quiet: Console
) -> None:
    """An export that was thrown away comes out byte for byte the same, so nothing after it is done again."""
    shutil.rmtree(step(copied, "export-student"))
    journal = Journal(recipe, copied / "runs", quiet)
    run.descend(journal)
    assert {"data", "export-student"} == {name for name, time in journal.times.items() if not time.cached}


def test_a_service_that_does_not_start_publishes_nothing(
    copied: Path, recipe: Recipe, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When figures can't be taken the run fails with what the service said, and the repository isn't touched."""

    def refuse(*_: object) -> None:
        raise ServingError("the service didn't become ready; it said:\nno")

    monkeypatch.setattr(serving, "serving", refuse)
    shutil.rmtree(step(copied, "evaluate"))
    with pytest.raises(ServingError, match="it said:\nno"):
        run.publish(Journal(recipe, copied / "runs", quiet), copied / "other")
    assert not (copied / "other").exists()
