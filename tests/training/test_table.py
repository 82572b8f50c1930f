"""What the terminal shows: every figure, however narrow it is."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from tests.training import reports
from training.recipe import Recipe
from training.report import Report
from training.table import print_report

QUALITY = [
    "digits-teacher 97.6 (97.0-98.0) 1,203",
    "digits-student teacher 97.3 (96.7-97.8) 30/40 (0.275) 462 2.6x",
    "digits-pruned teacher 89.4 (88.4-90.4) 5/297 (<0.001) 302 4.0x",
    "digits-int8 student 97.2 (96.6-97.7) 0/3 (0.250) 131 9.2x",
]
SPEED = [
    "digits-teacher 0.661 1.01/1.96 2,914 @32",
    "digits-student 0.298 2.22x 0.65/1.38 6,186 @32",
    "digits-pruned 0.188 3.53x 0.54/1.20 9,407 @32",
    "digits-int8 0.331 2.00x 0.68/1.43 5,623 @32",
]


@pytest.fixture(scope="module")
def report(recipe: Recipe) -> Report:
    return reports.report(recipe, reports.dataset())


def shown(report: Report, width: int) -> list[str]:
    """The lines on a terminal of that width."""
    console = Console(file=StringIO(), width=width)
    print_report(report, console)
    return written(console)


def written(console: Console) -> list[str]:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def words(lines: list[str]) -> list[str]:
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_figure_is_there(report: Report, width: int) -> None:
    """Each variant has its whole row in both tables, at any width: quality and speed."""
    lines = words(shown(report, width))

    assert [] == [row for row in QUALITY + SPEED if row not in lines]


def test_tables_fit_into_80_columns(report: Report) -> None:
    """No line of a table is wider than the narrowest terminal that people use."""
    lines = shown(report, 80)
    tables = lines[: next(at for at, line in enumerate(lines) if line.startswith("  digits-"))]

    assert len(QUALITY + SPEED) < len(tables)
    assert 80 >= max(map(len, tables))


def test_captions_say_what_figures_mean(report: Report) -> None:
    """A gain says of what, and a percentile of how many requests."""
    lines = words(shown(report, 80))

    assert "won/lost: images against the parent. smaller: times the teacher's." in lines
    assert "ms: one image, p50/p99 of 2,000 requests. faster: in computing." in lines


def test_the_verdict_is_told_whole(report: Report) -> None:
    """Every reason and the goal stand on a line of their own, however long they are."""
    lines = words(shown(report, 80))
    told = [f"{name}: {reason}" for name, reason in report.verdict.reasons.items()]

    assert [] == [line for line in (*told, report.verdict.goal) if line not in lines]


def test_long_names_are_not_cut(report: Report) -> None:
    """A family whose names are wider than the terminal keeps them, and its figures."""
    long = "a-family-with-a-name-that-is-much-longer-than-anybody-would-type-into-a-terminal"
    variants = {f"{long}{name}": one for name, one in report.variants.items()}
    verdict = replace(report.verdict, chosen=f"{long}digits-int8", reasons={})
    lines = words(shown(replace(report, variants=variants, verdict=verdict), 80))

    assert [] == [row for row in QUALITY + SPEED if f"{long}{row}" not in lines]
