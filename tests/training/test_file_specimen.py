"""What an ONNX file is asked with: whose rows, how many, and what is said where that is little."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from service.errors import SettingsError
from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training.specimens.file import FileSettings, FileSpecimen, fidelities
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


def rooted(folder: Path, rows: np.ndarray) -> FileSpecimen:
    """Of roots, which negative numbers haven't."""
    nodes = [helper.make_node("Sqrt", ["x"], ["y"])]
    source = saved(odd_graphs.model(nodes, [4], [4], {}), folder, "roots.onnx")
    np.savez(folder / "rows.npz", x=rows)
    settings = FileSettings(name="roots", source=source, samples=folder / "rows.npz")
    with Journal(settings, folder, Console(file=StringIO())) as journal:
        return FileSpecimen(journal)


def test_what_is_answered_by_no_number_is_named(tmp_path: Path) -> None:
    """Wherever it is among the samples: how near answers stay can't be said of it."""
    rows = np.ones((100, 4), np.float32)
    assert not rooted(tmp_path, rows).doubt.startswith("no")
    rows[91, 2] = -1
    with pytest.raises(SettingsError, match="samples: y is NaN or infinite for sample 91; leave such out"):
        rooted(tmp_path, rows)
    with pytest.raises(
        SettingsError, match=r"^roots.onnx: answers NaN or infinity \(y, sample 0 of rows\.npz\); leave such out"
    ):
        rooted(tmp_path, -rows)


def test_what_cannot_be_computed_is_named(tmp_path: Path) -> None:
    """A position beyond a table, late among the samples."""
    nodes = [helper.make_node("Gather", ["table", "x"], ["y"])]
    made = odd_graphs.model(nodes, [6], [6, 4], {"table": odd_graphs.numbers(50, 4)})
    made.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    ids = np.zeros((70, 6), np.int64)
    ids[-1, 0] = 50
    np.savez(tmp_path / "ids.npz", x=ids)
    source = saved(made, tmp_path, "table.onnx")
    settings = FileSettings(name="table", source=source, samples=tmp_path / "ids.npz")
    with (
        Journal(settings, tmp_path, Console(file=StringIO())) as journal,
        pytest.raises(SettingsError, match=r"samples: it can't compute those from 64 on .*indices element out of"),
    ):
        FileSpecimen(journal)


def test_classes_are_the_same_or_not() -> None:
    """How far their numbers are apart says nothing; floats have lengths, and the worst output counts."""
    classes, scores = np.array([[7, 1], [7, 1], [7, 1]]), np.array([[3.0, 4.0]] * 3)
    answers = {"class": np.array([[7, 1], [7, 9], [0, 2]]), "score": np.array([[3.0, 4.0], [3.0, 4.0], [3.0, 9.0]])}
    teacher = {"class": classes, "score": scores, "none": np.zeros((3, 0))}
    assert [1.0, 0.5, 0.0] == fidelities({**answers, "none": np.zeros((3, 0))}, teacher).tolist()


def test_variants_are_held_against_each_other_by_how_near_they_stay(tmp_path: Path) -> None:
    """Row by row: one that is nearer nearly everywhere is better beyond chance, one that is by turns isn't."""
    it, _ = specimen(tmp_path, ROWS)
    random = np.random.default_rng(1)
    teacher = {"y": random.normal(size=(200, 4))}
    noise = random.normal(size=(200, 4))
    near, far = ({"y": teacher["y"] + size * noise} for size in (0.01, 0.02))
    other = {"y": teacher["y"] + 0.01 * random.permutation(noise)}
    assert it.against(near, teacher, teacher) is None
    better, worse = it.against(near, far, teacher), it.against(far, near, teacher)
    equal = it.against(near, other, teacher)
    assert better is not None
    assert worse is not None
    assert equal is not None
    assert ("better", "worse", "equal within the interval") == (better.verdict, worse.verdict, equal.verdict)
    lost = [float(np.mean(1 - fidelities(one, teacher))) for one in (near, far)]
    assert lost[1] - lost[0] == pytest.approx(better.difference.value)


def test_rows_without_a_name_are_those_of_the_only_input(tmp_path: Path) -> None:
    """As `np.savez` leaves them: one half to learn ranges from, the other to ask."""
    found, _ = specimen(tmp_path, ROWS)
    assert np.array_equal(ROWS[len(ROWS) // 2 :], found.requests("validation")["x"])
