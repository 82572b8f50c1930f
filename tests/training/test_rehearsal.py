"""Files that end the process which loads them are found out by another one."""

from pathlib import Path

import numpy as np
import pytest

from service.errors import ArtifactError
from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training import rehearsal
from training.compression.quantization.half import half
from training.compression.quantization.preparation import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file, one of which nothing can be loaded, and one that ends whoever loads it."""
    folder = tmp_path_factory.mktemp("rehearsed")
    prepare(saved(odd_graphs.recurrent(), folder, "sound.onnx"), folder / "prepared.onnx")
    half(folder / "prepared.onnx", folder / "fatal.onnx")
    (folder / "broken.onnx").write_bytes(b"no model")
    return folder


def test_only_what_ends_the_process_is_named(folder: Path) -> None:
    """And what comes after it is tried all the same; inputs that a file doesn't take are no fault of it."""
    files = {name: folder / f"{name}.onnx" for name in ("sound", "fatal", "broken")}
    order = [files[name] for name in ("broken", "fatal", "sound", "fatal", "sound")]
    found = rehearsal.fatal(order, {"x": np.zeros((1, 3), np.float32)})
    assert {files["fatal"]: "ends its process (SIGSEGV) when it loads or computes it"} == found


def test_a_file_that_hangs_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a time in which any other would have been computed."""
    monkeypatch.setattr(rehearsal, "LIMIT", 0.01)
    found = rehearsal.fatal([folder / "sound.onnx"], {})
    assert {folder / "sound.onnx": "takes more than 0 s when it loads or computes it"} == found


def test_a_file_of_somebodys_is_refused(folder: Path) -> None:
    """Before anything here loads it; the text says what may help."""
    rehearsal.check_survived(folder / "sound.onnx", {})
    with pytest.raises(ArtifactError, match=r"fatal.onnx: ONNX Runtime ends its process \(SIGSEGV\).* as float32"):
        rehearsal.check_survived(folder / "fatal.onnx", {})
