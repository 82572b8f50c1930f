"""What is told of batch-mates is what the service found, and answers are judged as inputs alone get them."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from rich.console import Console

from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training.compression.evidence.mates import influence
from training.compression.search.design import Design
from training.deadline import Deadline
from training.session import open_model
from training.specimens.file import FileSettings, FileSpecimen, fidelities
from training.steps.exploring import Exploration
from training.steps.journal import Journal
from training.timing import EvaluateSettings

RANDOM = np.random.default_rng(11)
SIGNS = RANDOM.choice([-1.0, 1.0], (48, 32)).astype(np.float32)
UNEVEN = (RANDOM.normal(size=(48, 32)) * 10.0 ** RANDOM.uniform(-2, 2, (48, 1))).astype(np.float32)
DYNAMIC, STATIC = Design(numbers="dynamic"), Design(numbers="static")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal[FileSettings]]:
    """Of a product of matrices, quickly measured; samples lie in `rows.npz`."""
    nodes = [helper.make_node("MatMul", ["x", "a"], ["y"])]
    source = saved(odd_graphs.model(nodes, [32], [16], {"a": odd_graphs.numbers(32, 16)}), tmp_path, "mine.onnx")
    settings = FileSettings(name="mine", source=source, samples=tmp_path / "rows.npz")
    monkeypatch.setattr(FileSpecimen, "settings", EvaluateSettings(rounds=1, requests=3, batch_sizes=(1,)))
    with Journal(settings, tmp_path / "runs", Console(file=StringIO())) as own:
        yield own


def explored(journal: Journal[FileSettings], rows: NDArray[np.float32]) -> Exploration:
    assert journal.recipe.samples is not None
    np.savez(journal.recipe.samples, x=rows)
    return Exploration(FileSpecimen(journal), Deadline())


def test_mates_unlike_all_samples_are_found(journal: Journal[FileSettings]) -> None:
    """All samples have the same range, so that none moves another; what a client may send beside them does."""
    trials = explored(journal, SIGNS).tried([Design(), DYNAMIC, STATIC])
    assert 0.0 == influence(open_model(journal.path(DYNAMIC.name, "model.onnx")), {"x": SIGNS})
    assert [False, True, False] == [one.made.alone for one in trials]
    assert "each request is computed alone" in str(trials[1].made)
    assert "" == str(trials[2].made)


def test_what_is_lost_is_that_of_inputs_alone(journal: Journal[FileSettings]) -> None:
    """As a client has it who sends one: in a batch small inputs would lose what the range of large ones costs."""
    (dynamic,) = explored(journal, UNEVEN).tried([DYNAMIC])
    run, asked = open_model(journal.path(DYNAMIC.name, "model.onnx")), UNEVEN[24:]
    teacher = open_model(journal.recipe.source)({"x": asked})

    def judged(answers: NDArray[np.float32]) -> float:
        return float(fidelities({"y": answers}, teacher).mean())

    alone = judged(np.concatenate([run({"x": asked[row : row + 1]})["y"] for row in range(len(asked))]))
    assert judged(run({"x": asked})["y"]) < alone - 0.1
    assert dynamic.score == pytest.approx(alone, abs=1e-4)
