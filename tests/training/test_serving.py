"""Measuring through the real service: started for the purpose, asked, and gone afterwards."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training import release, serving
from training.child import ROOT
from training.data.split import Dataset
from training.errors import ServingError
from training.export import INPUT, OUTPUT
from training.publish import publish
from training.recipe import Recipe
from training.release import Variant
from training.session import open_session


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every process that the test starts."""
    started: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr("training.serving.subprocess.Popen", Recorded)
    return started


@pytest.fixture
def repository(int8: Path, recipe: Recipe, dataset: Dataset, tmp_path: Path) -> Path:
    variant = Variant(family="digits", variant="int8", parent=None, model=int8)
    publish(tmp_path / "models", release.unmeasured(variant, recipe, dataset))
    return tmp_path / "models"


def test_the_service_answers_as_the_file(
    repository: Path,
    int8: Path,
    dataset: Dataset,
    processes: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Answers over HTTP are those of the file; the user's own settings don't matter; nothing stays."""
    monkeypatch.setenv("HONE_REQUIRE_CARD", "nonsense")
    with serving.serving(repository, ["digits-int8"]) as served:
        for size in (1, 32):
            images = dataset.test.inputs[:size]
            answer = served.request("digits-int8", {INPUT: images})()
            assert np.allclose(answer[OUTPUT], open_session(int8)(images), atol=1e-6)
    assert [process.poll() for process in processes] == [0]


def test_a_killed_measurement_leaves_no_service(repository: Path, require_tool: Callable[[str], str]) -> None:
    """When the process that measures is killed outright, the service that it started ends too."""
    require_tool("setpriv")
    program = f"""
import time
from pathlib import Path
from training import serving
with serving.serving(Path({str(repository)!r}), ["digits-int8"]):
    print(Path("/proc/thread-self/children").read_text(), flush=True)
    time.sleep(60)
"""
    measuring = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert measuring.stdout is not None
    children = [Path("/proc", pid) for pid in measuring.stdout.readline().split()]
    measuring.kill()
    measuring.communicate()
    deadline = time.monotonic() + 20
    while any(child.exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert children
    assert [] == [child for child in children if child.exists()]


def test_computing_is_timed_by_the_service(repository: Path, dataset: Dataset) -> None:
    """The worker's time grows by every request, by less than the request took, and by more for more images."""
    with serving.serving(repository, ["digits-int8"]) as served:
        spent = {}
        for size in (1, 32):
            send = served.request("digits-int8", {INPUT: dataset.test.inputs[:size]})
            send()
            before = now = served.compute_seconds("digits-int8")
            start = time.perf_counter()
            for _ in range(10):
                send()
                last, now = now, served.compute_seconds("digits-int8")
                assert last < now
            spent[size] = now - before
            assert spent[size] < time.perf_counter() - start
        assert spent[1] < spent[32]
        assert served.compute_seconds("digits-int8") == served.compute_seconds("digits-int8")
        with pytest.raises(ServingError, match="metrics hold no hone_compute_duration_seconds of digits-teacher"):
            served.compute_seconds("digits-teacher")
        assert served.is_independent("digits-int8")
        with pytest.raises(ServingError, match="metrics hold no hone_model_batch_independent of digits-teacher"):
            served.is_independent("digits-teacher")


def test_an_empty_repository_is_an_error_with_what_the_service_said(
    tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    """When the service gives up, its last words are the error, and it is gone."""
    with pytest.raises(ServingError, match=r"didn't become ready; it said:\n.+"), serving.serving(tmp_path, ["digits"]):
        pass
    assert all(process.poll() is not None for process in processes)


def test_a_model_that_does_not_load_is_named(repository: Path) -> None:
    """Asking for a model that the repository doesn't have is an error that names it."""
    with (
        pytest.raises(ServingError, match="didn't load digits-teacher"),
        serving.serving(repository, ["digits-int8", "digits-teacher"]),
    ):
        pass


def test_a_port_that_is_taken_meanwhile_is_tried_again(
    repository: Path, processes: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finding a free port and using it somebody else may take it: other ports are tried."""
    original = serving._free_ports
    with socket.socket() as taken:
        taken.bind((serving.HOST, 0))
        taken.listen()
        answers = iter([(taken.getsockname()[1], original()[0])])
        monkeypatch.setattr(serving, "_free_ports", lambda: next(answers, None) or original())
        with serving.serving(repository, ["digits-int8"]):
            assert [process.poll() for process in processes] == [serving.CANT_BIND, None]
