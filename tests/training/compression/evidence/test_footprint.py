"""Bytes and joules."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.training.compression.evidence.graphs import write
from training.compression.evidence.energy import energy
from training.compression.evidence.footprint import memory, size
from training.errors import ServingError

MEGABYTE = 1_000_000


def test_zeros_weigh_on_disk_and_not_in_an_archive(tmp_path: Path) -> None:
    """The size is the file's own, and that by zlib at its best."""
    path = tmp_path / "model.onnx"
    path.write_bytes(bytes(3 * MEGABYTE) + b"x")

    assert (size(path).stored, size(path).zipped) == (3 * MEGABYTE + 1, len(zlib.compress(path.read_bytes(), 9)))


def test_memory_is_that_of_the_model(tmp_path: Path) -> None:
    """Loading weights of 64 MB takes a process at least that, and next to nothing without them."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x = {"x": np.ones((2, 4000), np.float32)}
    large = write(tmp_path / "large.onnx", node, (2, 4000), w=np.ones((4000, 4000)))
    small = write(tmp_path / "small.onnx", node, (2, 4000), w=np.ones((4000, 1)))

    found = memory(large, x)
    assert 64 * MEGABYTE < found.own < 400 * MEGABYTE
    assert found.peak > found.own
    assert memory(small, x).own < 40 * MEGABYTE


def test_a_model_that_cant_run_has_no_memory(tmp_path: Path) -> None:
    """A file that isn't a model is an error that names it."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"nothing")

    with pytest.raises(ServingError, match=r"broken\.onnx: memory couldn't be measured"):
        memory(path, {"x": np.ones((1, 1), np.float32)})


def _package(folder: Path, number: int, joules: int, most: int) -> Path:
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir(parents=True)
    (zone / "energy_uj").write_text(f"{joules * MEGABYTE}\n")
    (zone / "max_energy_range_uj").write_text(f"{most * MEGABYTE}\n")
    return zone / "energy_uj"


def test_energy_is_that_of_all_packages(tmp_path: Path) -> None:
    """Counters of packages are added, those within them aren't, and one that began anew is noticed."""
    first, second = _package(tmp_path, 0, 100, 1000), _package(tmp_path, 1, 990, 1000)
    within = tmp_path / "intel-rapl:0:0"
    within.mkdir()

    def work() -> None:
        first.write_text(str(103 * MEGABYTE))
        second.write_text(str(5 * MEGABYTE))

    found = energy(work, folder=tmp_path)

    assert found.joules == pytest.approx(3 + 15)
    assert found.reason is None


def test_a_machine_without_counters_says_so(tmp_path: Path) -> None:
    """Where there is nothing to read, nothing is done, and the reason is told."""
    done = []
    found = energy(lambda: done.append(1), folder=tmp_path)

    assert (found.joules, len(done)) == (None, 0)
    assert found.reason is not None
    assert "RAPL" in found.reason


def test_counters_that_cant_be_read_are_a_reason(tmp_path: Path) -> None:
    """A zone without its files counts as unreadable."""
    (tmp_path / "intel-rapl:0").mkdir()

    found = energy(lambda: None, folder=tmp_path)

    assert found.joules is None
    assert found.reason is not None
    assert "can't be read" in found.reason
