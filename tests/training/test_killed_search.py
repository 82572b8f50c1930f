"""Killing a search at any moment, and starting it again, costs time and nothing else; nothing of it stays behind."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training.cache import STAMP
from training.child import ROOT
from training.steps.journal import SCRATCH

PATIENCE = 240.0
GONE_SECONDS = 30.0
RECIPE = """
kind: network
about: Handwritten digits, small
family: small
seed: 7
threads: 1
problem: {kind: classification}
data: {source: digits, size: 8, test_views: 1}
network: {kind: mlp, widths: [16]}
fit: {epochs: 20, batch_size: 64, learning_rate: 0.003}
evaluate: {rounds: 2, requests: 3, batch_sizes: [1, 8]}
goal: {value: 0.3, match_baselines: false}
profiles: {tiny: {}}
"""
COMPRESS = ("compress", "small.yaml", "--profile", "tiny", "--objective", "size", "--max-drop", "0")
"""By size and without a loss: so what is tried depends on nothing that a clock says."""

Moment = Callable[[Path], bool]


def learning(folder: Path) -> bool:
    """The network has learnt for an epoch."""
    return (folder / "fit" / "last.safetensors").exists()


def measuring(folder: Path) -> bool:
    """A service is about to be started on several variants."""
    with suppress(OSError):  # of a folder that is gone meanwhile
        return len(list((folder / SCRATCH).glob("*/*/config.pbtxt"))) > 1
    return False


def judging(folder: Path) -> bool:
    return (folder / "tested" / STAMP).exists()


def explaining(folder: Path) -> bool:
    return any(folder.glob(f"evidence-*/{STAMP}"))


MOMENTS: tuple[tuple[Moment, float], ...] = ((learning, 0.1), (measuring, 3.0), (judging, 3.0), (explaining, 0.5))
"""Each with a delay in seconds: a service takes some until it answers."""


class Searching:
    """A search as a process of its own, in a session of its own, as a terminal starts it."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._mark = f"searching-{uuid.uuid4()}"
        (folder / "temporary").mkdir(exist_ok=True)
        named = {"SEARCH_MARK": self._mark, "TMPDIR": str(folder / "temporary"), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            # A shell has what it starts in the background ignore Ctrl-C, and this with it.
            ["env", "--default-signal=INT", sys.executable, "-m", "training", *words],
            cwd=folder,
            # One thread: on a machine that others use too, two that wait for each other are slower than one.
            env={**os.environ, "OMP_NUM_THREADS": "1", **named},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached():
            assert self.process.poll() is None, "the search ended before the moment"
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def left(self) -> list[str]:
        """The commands of its processes and of those that they started, as far as there still are any."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self._mark.encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_text().replace("\0", " "))
        return found

    def check_nothing_is_left(self) -> None:
        """The kernel ends its service, which ends its workers."""
        deadline = time.monotonic() + GONE_SECONDS
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert [] == left


def left_in(folder: Path) -> list[str]:
    """Temporary files, but for a folder of the runtime's own, which is always the same."""
    return [path.name for path in (folder / "temporary").iterdir() if path.name != ".ses"]


@contextmanager
def searching(folder: Path, *words: str) -> Iterator[Searching]:
    search = Searching(folder, *words)
    try:
        yield search
    finally:
        with suppress(ProcessLookupError):
            os.killpg(search.process.pid, signal.SIGKILL)
        search.process.communicate()


def finished(folder: Path) -> dict[str, bytes]:
    """The stamp of each step that is done, which has the digests of what was measured too."""
    stamps = {path.parent.name: path.read_bytes() for path in folder.glob(f"*/{STAMP}")}
    return {name: stamp for name, stamp in stamps.items() if b'"files"' in stamp}


def told(report: Any) -> Any:
    """All of a report that no clock decides."""
    rows = [
        {**{name: row[name] for name in row if name != "gain"}, "size": (row["gain"] or {}).get("size")}
        for row in report["rows"]
    ]
    tested = {
        name: {key: one[key] for key in ("figure", "figures", "by", "drop", "against_teacher", "size")}
        for name, one in report["tested"].items()
    }
    evidence = {name: {key: one[key] for key in ("shares", "likeness")} for name, one in report["evidence"].items()}
    chosen = {key: report[key] for key in ("front", "chosen", "met", "nearest", "ended")}
    return {"rows": rows, "tested": tested, "evidence": evidence, **chosen}


@pytest.mark.slow
def test_a_search_that_was_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """SIGKILL while a network learns, and while it measures, tests and explains: what was done isn't done again, the
    report is the same but for times, and neither processes nor temporary files stay.
    """
    late = random.Random(2026)
    (tmp_path / "small.yaml").write_text(RECIPE)
    folder = tmp_path / "killed" / "small" / "tiny"
    done: dict[str, bytes] = {}
    for moment, delay in MOMENTS:
        with searching(tmp_path, *COMPRESS, "--runs", "killed") as search:
            search.wait_until(lambda moment=moment: moment(folder))  # type: ignore[misc] # mypy infers no default
            time.sleep(delay * late.uniform(0.5, 1.5))
            search.process.kill()
            search.process.wait()
            search.check_nothing_is_left()
            assert done.items() <= finished(folder).items()
            done = finished(folder)
    with (
        searching(tmp_path, *COMPRESS, "--runs", "whole", "--json") as whole,
        searching(tmp_path, *COMPRESS, "--runs", "killed", "--json") as last,
    ):
        (expected, _), (found, progress) = (one.process.communicate(timeout=PATIENCE) for one in (whole, last))
    assert told(json.loads(expected)) == told(json.loads(found))
    assert done.items() <= finished(folder).items()
    states = dict(re.findall(r"^  (\S+) +(unchanged|[\d.]+ s) ", progress, re.MULTILINE))
    assert {"unchanged"} == {states[name] for name in done}
    assert not (folder / SCRATCH).exists()
    assert [] == left_in(tmp_path)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small perceptron, of which nothing has to learn."""
    return saved(odd_graphs.perceptron(), tmp_path_factory.mktemp("interrupted"), "mine.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("moment, delay", [(measuring, 1.0), (explaining, 0.1)], ids=["measuring", "explaining"])
def test_ctrl_c_ends_it_with_what_it_found(file: Path, moment: Moment, delay: float) -> None:
    """Everything that a terminal interrupts is gone, temporary files too; the same command goes on."""
    runs = f"runs-{moment.__name__}"
    with searching(file.parent, "compress", file.name, "--runs", runs) as search:
        folder = file.parent / runs / "mine" / "file"
        search.wait_until(lambda: moment(folder))
        time.sleep(delay)
        os.killpg(search.process.pid, signal.SIGINT)
        _, said = search.process.communicate(timeout=PATIENCE)
        assert 130 == search.process.returncode
        assert said.splitlines()[-1] == "interrupted; the same command goes on where it stopped"
        search.check_nothing_is_left()
    assert not (folder / SCRATCH).exists()
    assert [] == left_in(file.parent)


@pytest.mark.slow
def test_a_stop_from_outside_leaves_nothing_that_runs(file: Path) -> None:
    """SIGTERM, as systems send it; what it needed for a moment the next run removes."""
    folder = file.parent / "stopped" / "mine" / "file"
    with searching(file.parent, "compress", file.name, "--runs", "stopped") as search:
        search.wait_until(lambda: measuring(folder))
        time.sleep(3)
        search.process.terminate()
        assert -signal.SIGTERM == search.process.wait(PATIENCE)
        search.check_nothing_is_left()
    assert [] == left_in(file.parent)
    with searching(file.parent, "compress", file.name, "--runs", "stopped", "--minutes", "0.01") as search:
        search.process.communicate(timeout=PATIENCE)
    assert not (folder / SCRATCH).exists()
