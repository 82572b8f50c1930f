"""A fit that two processes share is the fit of one, up to the order of additions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.training.shared_fits import FITS, run
from training import checkpoint
from training.__main__ import app
from training.record import LOG

ROOT = Path(__file__).resolve().parents[2]
REFUSED = {
    "spoilt": "spoilt: the loss became nan in epoch 1, step ",
    "game": "task: parts that learn in turns are trained by one process; start without torchrun",
    "compared": "task: compares all inputs of a batch with each other, so a batch can't be shared; start without",
    "few": "batch_size: 3 is less than two for each of 2 processes; make it larger, or start fewer",
}


def torchrun(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Two processes, on one core each."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All fits, done by two processes."""
    folder = tmp_path_factory.mktemp("shared")
    done = torchrun(ROOT / "tests" / "training" / "shared_fits.py", folder)
    assert 0 == done.returncode, done.stderr
    return folder


def ended(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    return checkpoint.read(folder / "network.safetensors")


@pytest.mark.parametrize("name", [name for name in FITS if name not in {*REFUSED, "normalised"}])
def test_two_processes_learn_what_one_learns(name: str, shared: Path, tmp_path: Path) -> None:
    """Weights and history, also where shares differ in size or in what they count, and after interruptions."""
    run(name, tmp_path / name)
    (weights, facts), (alone, expected) = ended(shared / name), ended(tmp_path / name)
    for key, value in alone.items():
        assert torch.allclose(value, weights[key], atol=1e-5), key
    assert expected["best"] == facts["best"]
    assert expected["train"] == pytest.approx(facts["train"], abs=1e-5)
    assert len(expected["history"]) == len(facts["history"])
    for (loss, scores), (other, others) in zip(expected["history"], facts["history"], strict=True):
        assert loss == pytest.approx(other, abs=1e-5)
        assert scores == pytest.approx(others, abs=1e-5)


@pytest.mark.parametrize("name", [name for name in FITS if name not in REFUSED])
def test_only_one_process_writes(name: str, shared: Path) -> None:
    """The log has a line an epoch, and says how many there were."""
    _, facts = ended(shared / name)
    lines = [json.loads(line) for line in (shared / name / LOG).read_text().splitlines()]
    assert list(range(1, len(facts["history"]) + 1)) == [line["epoch"] for line in lines]
    assert {2} == {line["processes"] for line in lines}


def test_batch_normalisation_is_of_shares_and_says_so(shared: Path, tmp_path: Path) -> None:
    """It learns something else than one process would, but learns; nobody else is warned."""
    run("normalised", tmp_path / "normalised")
    (weights, facts), (alone, expected) = ended(shared / "normalised"), ended(tmp_path / "normalised")
    assert not torch.allclose(alone["layers.0.weight"], weights["layers.0.weight"], atol=1e-5)
    assert facts["history"][-1][0] < facts["history"][0][0]
    text = "normalised: batch normalisation goes by each process's share of a batch, 1/2 of it; one keeps the first's"
    assert text == facts["screen"].strip()
    assert "" == expected["screen"]
    assert "" == ended(shared / "plain")[1]["screen"]


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_not_go_on_ends_in_all_processes(name: str, shared: Path) -> None:
    """A loss that one of them alone sees to be no number, and tasks and settings that can't be shared."""
    for rank in range(2):
        assert (shared / name / f"error-{rank}.txt").read_text().startswith(REFUSED[name])


def test_a_step_is_done_by_one_process_unless_it_is_shared(shared: Path) -> None:
    """And once: the second time it lies there for both."""
    folder = shared / "runs" / "digits" / "tiny"
    found = {str(path.relative_to(folder)): path.read_text() for path in folder.glob("*/rank-*")}
    assert {"alone/rank-0": "done\n", "shared/rank-0": "done\n", "shared/rank-1": "done\n"} == found


@pytest.mark.slow
def test_two_processes_train_a_recipe(tmp_path: Path) -> None:
    """The command line, by torchrun and without: one story on the screen, and the same network but for rounding."""
    words = ["train", "topics", "--profile", "tiny", "--json", "--runs"]
    told = torchrun("-m", "training", *words, tmp_path / "two")
    assert 0 == told.returncode, told.stderr
    assert 1 == told.stderr.count(" decoder ")
    alone = CliRunner().invoke(app, [*words, str(tmp_path / "one")])
    facts, expected = json.loads(told.stdout), json.loads(alone.stdout)
    assert expected["validation_loss"] == pytest.approx(facts["validation_loss"], rel=1e-3)
    (weights, _), (others, _) = (checkpoint.read(Path(one["checkpoint"])) for one in (facts, expected))
    for name, value in others.items():
        # AdamW's first steps go by signs, which rounding decides where a gradient is nearly zero.
        assert (value - weights[name]).abs().mean() < 0.005, name
    again = CliRunner().invoke(app, [*words, str(tmp_path / "two")])
    assert re.search(r"decoder +unchanged", again.stderr)
    assert facts == json.loads(again.stdout)


def test_other_verbs_are_not_shared(tmp_path: Path) -> None:
    """They measure and publish, which one process does; it is said once."""
    done = torchrun("-m", "training", "publish", "digits", "--profile", "tiny", "--runs", tmp_path)
    assert 1 == done.returncode
    assert 1 == done.stderr.count(
        "error: torchrun: only `train` can be shared by processes; start this without torchrun"
    )
    assert not list(tmp_path.iterdir())
