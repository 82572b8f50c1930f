"""How long saying what variants are worth is foreseen to take: by means of other searches, and by what it took here."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from training.compression.search.design import Design, Network
from training.runtime import OPENVINO
from training.specimens.file import FileSettings
from training.steps.foreseeing import FLOATS, INTEGERS, INTERVALS, TESTED, TRIALS, Foreseen
from training.steps.journal import Journal

HALF = Design(network=Network(route="pruned", share=0.5))
STATIC = Design(network=HALF.network, numbers="static")


@pytest.fixture
def journal(tmp_path: Path) -> Journal[Any]:
    return Journal(FileSettings(name="mine", source=Path("mine.onnx")), tmp_path, Console(quiet=True))


def test_a_test_takes_longer_than_a_trial(journal: Journal[Any]) -> None:
    """Of what they were made from too, and of nothing twice."""
    foreseen = Foreseen(journal, turn=0.8)
    assert 3 * (0.8 + INTERVALS) == pytest.approx(foreseen.to_test([Design(), HALF, STATIC]))
    assert 2 * (0.8 + INTERVALS) == pytest.approx(foreseen.to_test([STATIC]))


def test_integers_take_longer_to_explain_than_floats(journal: Journal[Any]) -> None:
    """Whichever runtime computes those."""
    foreseen = Foreseen(journal)
    assert 2 * FLOATS + INTEGERS == foreseen.to_explain(HALF, Design(runtime=OPENVINO), STATIC)


def test_what_it_took_before_is_foreseen_again(journal: Journal[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever others took."""

    def tested(folder: Path) -> None:
        (folder / TRIALS).write_text('{"a": 1, "b": 2}')

    journal.do(TESTED, {}, (), tested, str)
    monkeypatch.setattr(Journal, "seconds", lambda _, step: {TESTED: 10.0, f"evidence-{STATIC.name}": 9.0}.get(step, 0))
    foreseen = Foreseen(journal, turn=0.8)
    assert (15.0, 9.0 + FLOATS) == (foreseen.to_test([Design(), HALF, STATIC]), foreseen.to_explain(STATIC, HALF))
