"""What an ONNX file is asked with: whose rows, how many, and what is said where that is little."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training.specimens.file import FileSettings, FileSpecimen
from training.steps.journal import Journal

ROWS = odd_graphs.samples_of(odd_graphs.perceptron())["x"]


def specimen(folder: Path, rows: np.ndarray | None) -> tuple[FileSpecimen, str]:
    """Of a perceptron, and what the screen says; rows have no name."""
    source, samples = saved(odd_graphs.perceptron(), folder, "mine.onnx"), None
    if rows is not None:
        np.savez(samples := folder / "rows.npz", rows)
    screen = StringIO()
    with Journal(FileSettings(name="mine", source=source, samples=samples), folder, Console(file=screen)) as journal:
        return FileSpecimen(journal), screen.getvalue()


@pytest.mark.parametrize(
    "rows, told",
    [
        (ROWS[:1], "rows.npz has one row: ranges of so few"),
        (ROWS[:15], "rows.npz has 15 different rows: ranges of so few"),
        (np.repeat(ROWS[:4], 20, axis=0), "rows.npz has 4 different rows: ranges of so few"),
        (ROWS[:16], ""),
        (None, "no --samples: ranges are learnt from random numbers"),
    ],
    ids=["one", "few", "repeated", "enough", "random"],
)
def test_few_rows_are_told(tmp_path: Path, rows: np.ndarray | None, told: str) -> None:
    """On the screen and in the report, with how many are good; rows that are the same count once."""
    found, screen = specimen(tmp_path, rows)
    assert bool(told) == bool(found.doubt)
    assert found.doubt.startswith(told)
    assert found.doubt in screen
    assert rows is None or not told or found.doubt.endswith("some hundreds are good")


def test_rows_without_a_name_are_those_of_the_only_input(tmp_path: Path) -> None:
    """As `np.savez` leaves them: one half to learn ranges from, the other to ask."""
    found, _ = specimen(tmp_path, ROWS)
    assert np.array_equal(ROWS[len(ROWS) // 2 :], found.requests("validation")["x"])
