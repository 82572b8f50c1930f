"""How a search spends its time: what is done already costs none, what is begun is measured, the rest isn't begun."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from service.errors import SettingsError
from tests.training.clock import Clock
from training.bootstrap import Figure
from training.compression.search.design import Design, Network
from training.compression.search.trial import Trial
from training.deadline import Deadline
from training.problems.problem import Scores
from training.session import Tensors
from training.specimens.file import FileSettings
from training.steps import exploring, foreseeing
from training.steps.asking import Found
from training.steps.exploring import Exploration
from training.steps.journal import Journal
from training.timing import EvaluateSettings, Timing

TURN = 0.05
"""Seconds that measuring a variant takes."""
HALF, QUARTER, EIGHTH = (Design(network=Network(route="student", share=share)) for share in (0.5, 0.25, 0.12))
ALL = (HALF, QUARTER, EIGHTH)


@dataclass
class Learning:
    """A specimen whose networks take so many `seconds` of a clock to learn; the teacher has learnt. See `Specimen`."""

    journal: Journal[Any]
    clock: Clock
    seconds: Mapping[Design, float] = field(default_factory=dict)
    absent: Sequence[Design] = ()
    made: list[str] = field(default_factory=list)
    headline, smaller, settings, code = "accuracy", False, EvaluateSettings(), ()

    def decides(self, part: str) -> Mapping[str, Any]:
        return {"part": part}

    def floating(self, network: Network) -> Path:
        design = Design(network=network)
        if design in self.absent:
            raise SettingsError("there is none so small")

        def action(folder: Path) -> None:
            self.made.append(network.name)
            self.clock.now += self.seconds.get(design, 1.0)
            (folder / "model.onnx").write_text(network.name)

        self.journal.do(network.name, {}, (), action, lambda: "made", foreseen=self.seconds.get(design, 1.0))
        return self.journal.path(network.name, "model.onnx")

    def shown(self, _: Network) -> Tensors:
        return {}

    def score(self, *_: Any) -> float:
        return 0.9

    def scores(self, *_: Any) -> Scores:
        return Scores(figures={self.headline: Figure(value=0.9, low=0.9, high=0.9)})

    def against(self, *_: Any) -> None:
        return None


class Service:
    """Instead of `ask`: all are as good; it keeps what it was asked of."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, _: Any, files: Mapping[Design, Path], *__: Any) -> Found:
        names = [one.name for one in files]
        self.asked.append(names)
        answer: Tensors = {"x": np.zeros(1)}
        timing = Timing(requests=np.ones((2, 3)), compute=np.ones(2))
        return Found(
            answers=dict.fromkeys(names, answer),
            times={one: {1: timing} for one in names},
            refused={},
            sizes=dict.fromkeys(names, 1),
        )


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    """Each variant takes its turn, as the journal tells; intervals take no time, and what ran is told in a turn."""

    def seconds(journal: Journal[Any], step: str) -> float:
        path = journal.path(step, foreseeing.TRIALS)
        return TURN * len(json.loads(path.read_bytes())) if path.exists() else 0.0

    service = Service()
    monkeypatch.setattr(exploring, "ask", service)
    monkeypatch.setattr(Journal, "seconds", seconds)
    monkeypatch.setattr(foreseeing, "INTERVALS", 0.0)
    monkeypatch.setattr(foreseeing, "FLOATS", TURN)
    return service


class Searching:
    """Searches in one folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.screen = StringIO()

    def begin(
        self, left: float, seconds: Mapping[Design, float] | None = None, absent: Sequence[Design] = ()
    ) -> Exploration:
        """The next one, which has so many seconds from when it has measured the teacher."""
        recipe, clock = FileSettings(name="mine", source=Path("mine.onnx")), Clock()
        journal: Journal[Any] = Journal(recipe, self.folder, Console(file=self.screen, width=200))
        self.specimen = Learning(journal, clock, seconds or {}, absent)
        self.specimen.floating(Network())
        specimen: Any = self.specimen
        exploration = Exploration(specimen, Deadline(end=clock.now + left, whole=left, clock=clock))
        exploration.tried([Design()])
        self.specimen.made.clear()
        return exploration


@pytest.fixture
def searching(tmp_path: Path) -> Searching:
    return Searching(tmp_path)


def names(found: Sequence[Trial]) -> list[str]:
    return [one.name for one in found]


def test_what_is_done_costs_no_time(service: Service, searching: Searching) -> None:
    """A search without a second finds all that one before it made and measured; it makes nothing."""
    assert ["student50", "student25", "student12"] == names(searching.begin(100).tried(ALL))
    before = len(service.asked)
    again = searching.begin(0)
    assert ["student50", "student25", "student12"] == names(again.tried(ALL))
    assert [] == again.tried([Design(network=Network(route="pruned", share=0.5))])
    assert ([], before) == (searching.specimen.made, len(service.asked))


def test_what_was_made_in_time_is_measured(service: Service, searching: Searching) -> None:
    """Though the last took longer than was foreseen; and found again by a search without a second."""
    first = searching.begin(100, {HALF: 60, QUARTER: 50})
    assert ["student50"] == names(first.tried(ALL))
    assert ["teacher", "student50"] == service.asked[-1]
    assert "student25: would take about 50 s, and 40 s are left for it" in searching.screen.getvalue()
    assert ["student50"] == names(searching.begin(0, {HALF: 60, QUARTER: 50}).tried(ALL))
    assert ["student50", "student25"] == names(searching.begin(51, {QUARTER: 50}).tried(ALL))
    assert ["student25"] == searching.specimen.made


def test_what_was_made_and_not_measured_stands_behind_what_was(service: Service, searching: Searching) -> None:
    """A search that was killed before it measured left a file; without time there is only the one that was measured."""
    searching.begin(100, {QUARTER: 1000}).tried(ALL)
    searching.specimen.floating(QUARTER.network)
    assert ["student50"] == names(searching.begin(0).tried(ALL))


def test_time_to_measure_and_to_test_is_set_aside(service: Service, searching: Searching) -> None:
    """By what a variant took so far: nothing is begun that couldn't be measured, nor tested."""
    assert [] == searching.begin(1 + TURN).tried(ALL)
    assert ["student50"] == names(searching.begin(1 + 3 * TURN).tried(ALL))
    short = searching.begin(1 + 3 * TURN)
    short.reserve([Design(), HALF])
    assert [] == short.tried([QUARTER])


def test_the_chosen_is_tested_without_time(service: Service, searching: Searching) -> None:
    """And the teacher; of the others as many as there is time for, the last ones left out."""
    made = searching.begin(100)
    made.tried(ALL)
    late = searching.begin(0)
    late.tried(ALL)
    assert {"teacher", "student12"} == late.tested([Design(), *ALL], {Design(), EIGHTH}).keys()
    some = searching.begin(7.5 * TURN)
    some.tried(ALL)
    assert {"teacher", "student50", "student12"} == some.tested([Design(), *ALL], {Design(), EIGHTH}).keys()


def test_what_ran_of_the_chosen_is_told_without_time(
    service: Service, searching: Searching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of the teacher; of the others as far as there is time, in their order."""

    def explain(journal: Journal[Any], *_: Any, **__: Any) -> str:
        journal.deadline.check()
        searching.specimen.clock.now += TURN
        return "this ran"

    monkeypatch.setattr(exploring, "explain", explain)
    made, needed = searching.begin(100), {Design(), EIGHTH}
    made.tried(ALL)
    for turns, expected in {
        0: ["teacher", "student12"],
        2.5: ["teacher", "student12"],
        3.5: ["teacher", "student50", "student12"],
        9.0: ["teacher", "student50", "student25", "student12"],
    }.items():
        search = searching.begin(turns * TURN)
        search.tried(ALL)
        assert expected == list(search.explained([Design(), *ALL], needed, rows=1))


def test_what_was_tested_costs_no_time(service: Service, searching: Searching) -> None:
    """All of it is told again."""
    made = searching.begin(100)
    made.tried(ALL)
    expected = made.tested([Design(), *ALL], {Design()})
    assert {"teacher", *names(made.tried(ALL))} == expected.keys()
    late = searching.begin(0)
    late.tried(ALL)
    assert expected == late.tested([Design(), *ALL], {Design()})


def test_where_nothing_could_be_made_nothing_is_measured(service: Service, searching: Searching) -> None:
    """Not even the teacher once more."""
    search = searching.begin(100, absent=ALL)
    before = len(service.asked)
    assert ["there is none so small"] * 3 == [one.failed for one in search.tried(ALL)]
    assert before == len(service.asked)
    assert ["there is none so small"] * 3 == [one.failed for one in searching.begin(0, absent=ALL).tried(ALL)]
