"""Killing training at any moment, and starting it again, costs time and nothing else."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.artifact.digest import sha256_file
from training.cache import STAMP
from training.recipe import RECIPES
from training.record import EVENTS, LOG

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0
TIMES = {"time", "seconds", "examples_per_second"}
PROFILE: dict[str, dict[str, Any]] = {
    "data": {"size": 8, "test_views": 1},
    "network": {"widths": [32, 16]},
    "fit": {"epochs": 5},
    "distil": {"fit": {"epochs": 4}},
    "prune": {"rounds": 2, "fit": {"epochs": 2}},
    "fine_tune": {"epochs": 3},
}
"""More epochs than `tiny` has, on smaller images: more moments to be killed at."""

Moment = Callable[[Path], bool]


def appeared(name: str) -> Moment:
    return lambda folder: (folder / name).exists()


def epochs(step: str, count: int) -> Moment:
    """When a fit has written its state for the `count`-th time or more: seen by its history."""

    def reached(folder: Path) -> bool:
        # The facts of a checkpoint lie at its beginning, as text.
        path = folder / step / "last.safetensors"
        if not path.exists():
            return False
        header = path.read_bytes()[:65536]
        return header.count(b"accuracy") >= count

    return reached


MOMENTS: tuple[tuple[Moment, float], ...] = (
    (epochs("teacher", 2), 0.05),
    (appeared("teacher/network.safetensors"), 0.0),
    (epochs("prune-2", 2), 0.0),
    (epochs("fine-tune", 2), 0.1),
    (appeared("export-student/step.json"), 1.0),
    (appeared("quantize/step.json"), 0.05),
)
"""In the middle of fits of every kind, between a file and its stamp, in an export; each with a delay."""


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    tiny = settings["profiles"]["tiny"]
    for section, changes in PROFILE.items():
        tiny[section] = {**tiny.get(section, {}), **changes}
    path = tmp_path / "digits.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@contextmanager
def exporting(recipe: Path, runs: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`hone-train export` of the last file that is made, as a process of its own, gone at the end."""
    command = [sys.executable, "-m", "training", "export", str(recipe), "int8", "--to", str(runs.with_suffix(".onnx"))]
    command += ["--profile", "tiny", "--runs", str(runs)]
    # One thread: on a machine that others use too, two that wait for each other are slower than one.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with runs.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, "training ended before the moment to kill it at"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def digests(folder: Path) -> dict[str, str]:
    """Every file of the run, by content; what an interruption may leave beside the results isn't hidden either.

    Records hold times, so they aren't looked at here, nor where a stamp names their digests or says how long it took.
    """
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in {LOG, EVENTS, STAMP}:
            found[str(path.relative_to(folder))] = sha256_file(path)
        if path.name == STAMP:
            stamp = json.loads(path.read_text())
            kept = {name: digest for name, digest in stamp["files"].items() if name not in {LOG, EVENTS}}
            found[str(path.relative_to(folder))] = json.dumps({"key": stamp["key"], "files": kept}, sort_keys=True)
    return found


def logged(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The log of every fit, without times."""
    return {
        path.parent.name: [
            {name: value for name, value in json.loads(line).items() if name not in TIMES}
            for line in path.read_text().splitlines()
        ]
        for path in folder.rglob(LOG)
    }


@pytest.mark.slow
def test_a_run_that_was_killed_again_and_again_ends_with_the_same_bytes(recipe_file: Path, tmp_path: Path) -> None:
    """SIGKILL in every kind of step, then the same command: all files are those of a run that never stopped."""
    late = random.Random(2026)
    folder = tmp_path / "killed" / "digits" / "tiny"
    with exporting(recipe_file, tmp_path / "whole") as whole:
        for moment, delay in MOMENTS:
            with exporting(recipe_file, tmp_path / "killed") as process:
                wait_until(lambda moment=moment: moment(folder), process)  # type: ignore[misc]
                time.sleep(delay * late.uniform(0.5, 1.5))
                process.send_signal(signal.SIGKILL)
                assert -signal.SIGKILL == process.wait()
        with exporting(recipe_file, tmp_path / "killed") as process:
            assert 0 == process.wait(PATIENCE)
        assert 0 == whole.wait(PATIENCE)

    expected, found = digests(tmp_path / "whole" / "digits" / "tiny"), digests(folder)
    assert 10 == sum(name.endswith(("/network.safetensors", "/model.onnx")) for name in expected) + 1
    assert expected == found
    assert logged(tmp_path / "whole" / "digits" / "tiny") == logged(folder)
    steps = {path.parent.name for path in folder.glob("*/step.json") if "files" in json.loads(path.read_text())}
    assert {name.split("/")[0] for name in expected} == steps
