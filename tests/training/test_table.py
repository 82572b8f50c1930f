"""What the terminal shows: every figure, whatever its width."""

from io import StringIO

import pytest
from rich.console import Console

from tests.training import reports
from training.recipe import Recipe
from training.table import print_report


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_figure_is_cut(recipe: Recipe, width: int) -> None:
    """Each variant's name, accuracy with its interval, size, gains, times and throughput are there in full."""
    report = reports.report(recipe, reports.dataset())
    console = Console(file=StringIO(), width=width)
    print_report(report, console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()

    assert "…" not in text
    for name, one in report.variants.items():
        accuracy, latency = one.accuracy, one.latency_ms["1"]
        lines = " ".join(line for line in text.splitlines() if line.lstrip().startswith(f"{name} "))
        assert f"{accuracy.value * 100:.1f} ({accuracy.low * 100:.1f}-{accuracy.high * 100:.1f})" in lines
        assert f"{latency.p50:.2f}/{latency.p99:.2f}" in lines
        assert f"{one.compute_ms['1']:.3f}" in lines
        assert f"{one.throughput:,.0f} @{one.best_batch}" in lines
        if one.over_teacher is not None:
            assert f"{one.over_teacher.size:.1f}x" in lines
            assert f"{one.over_teacher.compute:.2f}x" in lines
    assert report.verdict.goal in text
