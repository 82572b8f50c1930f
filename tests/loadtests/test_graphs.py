"""The bench of graphs: both files of a recipe's network take turns, and what they took is told."""

import json
from pathlib import Path

import pytest

from loadtests import bench_graphs


def test_a_graph_is_measured_with_its_shapes_worked_out_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is published has fewer nodes; a quick run writes nothing, another one the table and its twin."""
    monkeypatch.setattr(bench_graphs, "FOLDER", tmp_path)
    monkeypatch.setattr(bench_graphs, "TURN_SECONDS", 0.001)
    entry = bench_graphs.measure("pages", "tiny", 2)
    assert entry["nodes"][bench_graphs.PUBLISHED] < entry["nodes"][bench_graphs.RECORDED]
    monkeypatch.setattr(bench_graphs, "measure", lambda *_: entry)
    monkeypatch.setattr("sys.argv", ["bench_graphs", "--quick"])
    assert bench_graphs.main() == 0
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("sys.argv", ["bench_graphs"])
    assert bench_graphs.main() == 0
    assert "| pages (tiny) | rows | " in (tmp_path / "RESULTS.md").read_text()
    assert len(json.loads((tmp_path / "results" / "graphs.json").read_text())["networks"]) == len(bench_graphs.RECIPES)
