"""`hone-train compress` on an ONNX file of somebody's: what is tried, what is chosen, and what is refused."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner, Result

from tests.training.imports.graphs import saved, series
from tests.training.page_reader import Reader, check_references, check_self_contained
from training.__main__ import app
from training.session import open_model
from training.specimens.file import fidelities

ROWS = np.random.default_rng(3).normal(size=(64, 32)).astype(np.float32)
WIDE = 96


def compress(model: Path, runs: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(app, ["compress", str(model), "--runs", str(runs), *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MLP, and samples for it."""
    folder = tmp_path_factory.mktemp("compressed")
    random = np.random.default_rng(0)
    weights = {"a": random.normal(size=(32, WIDE)) / 6, "b": random.normal(size=(WIDE, 10)) / 10}
    nodes = [
        helper.make_node("MatMul", ["rows", "a"], ["inner"]),
        helper.make_node("Relu", ["inner"], ["cut"]),
        helper.make_node("MatMul", ["cut", "b"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["N", 32])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    saved(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder, "mine.onnx")
    np.savez(folder / "rows.npz", rows=ROWS)
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """What came of a search for the smallest file."""
    words: list[str | Path] = ["--samples", folder / "rows.npz", "--objective", "size", "--max-drop", "0.1", "--json"]
    result = compress(folder / "mine.onnx", folder / "runs", *words)
    assert 0 == result.exit_code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    left = folder / "runs" / "mine" / "file" / "compress"
    assert json.loads((left / "compress.json").read_text()) == found
    shutil.copy(left / "compress.html", folder)  # other searches write it anew
    return found


def rows_of(told: dict[str, Any]) -> dict[str, Any]:
    return {row["variant"]: row for row in told["rows"]}


def test_all_that_a_file_can_become_is_tried(told: dict[str, Any]) -> None:
    """Every method of quantization, both runtimes and bf16; nothing learns, so there is no smaller network."""
    rows = rows_of(told)
    assert "teacher" == told["rows"][0]["variant"]
    assert {"teacher"} == {row["network"] for row in rows.values()}
    methods = {"static", "static_entropy", "static_percentile", "static_tensor", "dynamic", "dynamic_tensor"}
    assert {"f32", *methods, "weights8", "weights4", "half"} == {row["numbers"] for row in rows.values()}
    assert {"onnxruntime", "openvino", "openvino-bf16"} == {row["runtime"] for row in rows.values()}
    assert ("teacher", None) == (rows["teacher-static"]["parent"], rows["teacher"]["parent"])


def test_fidelity_is_how_near_the_answers_are(folder: Path, told: dict[str, Any]) -> None:
    """On the half of the samples that ranges weren't learnt from."""
    steps, asked = folder / "runs" / "mine" / "file", {"rows": ROWS[32:]}
    teacher = open_model(folder / "mine.onnx")(asked)
    for variant in ("teacher-static", "teacher-weights4"):
        found = fidelities(open_model(steps / variant / "model.onnx")(asked), teacher)
        assert rows_of(told)[variant]["score"] == pytest.approx(found.mean(), abs=1e-3)
    assert 1.0 == rows_of(told)["teacher"]["score"]
    assert rows_of(told)["teacher-weights4"]["score"] < rows_of(told)["teacher-weights8"]["score"] < 1


def test_the_smallest_within_the_budget_is_chosen(told: dict[str, Any]) -> None:
    """And measured again with what nothing beats, beside the file."""
    within = [row for row in told["rows"] if not row["failed"] and row["drop"] <= 0.1]
    best = max(row["gain"]["size"] for row in within)
    chosen = rows_of(told)[told["chosen"]]
    assert chosen["gain"]["size"] == best > 2
    assert told["met"]
    assert {"teacher", told["chosen"], *told["front"]} == set(told["tested"]) == set(told["evidence"])


def test_what_ran_is_told_of_what_is_worth_having(told: dict[str, Any]) -> None:
    """Shares of the multiplications add up; integers are compared with the same network in floating point."""
    evidence = told["evidence"]
    assert {"float": 1.0} == evidence["teacher"]["shares"]
    for name, one in evidence.items():
        assert sum(one["shares"].values()) == pytest.approx(1)
        row = rows_of(told)[name]
        if row["numbers"] != "f32" and row["runtime"] == "onnxruntime":
            assert one["speed_up"] > 0
            assert bool(one["cause"]) == (one["speed_up"] < 1.05)
            assert 0 < one["likeness"]["scores"]["relative"] < 0.2
            steps = sum(step["us"] for step in one["waterfall"]["steps"])
            assert one["waterfall"]["float_us"] + steps == pytest.approx(one["waterfall"]["compressed_us"])


def test_the_page_has_all_of_it(folder: Path, told: dict[str, Any]) -> None:
    """It needs nothing else, and every variant, the plot and the verdict are there."""
    page = (folder / "compress.html").read_text()
    check_self_contained(page)
    check_references(page)
    text = Reader(page).root.text
    assert all(row["variant"] in text for row in told["rows"])
    assert f"{told['chosen']} gains most of those that lose at most 10.00" in text
    assert "multiplied in: 100% float" in text
    alone = [row for row in told["rows"] if row["made"]["alone"]]
    assert {"dynamic", "dynamic_tensor"} == {row["numbers"] for row in alone if row["runtime"] == "onnxruntime"}
    assert all(f"{row['variant']} : batch-mates may change answers (samples' by" in text for row in alone)
    integers = [name for name, one in told["evidence"].items() if one["waterfall"]]
    assert page.count("<svg") == 1 + len(integers)


def test_a_goal_that_cant_be_met_ends_with_4_and_does_nothing_again(folder: Path, told: dict[str, Any]) -> None:
    """The nearest miss is said; what was made and measured is found."""
    words: list[str | Path] = ["--samples", folder / "rows.npz", "--objective", "size", "--max-drop", "0.1"]
    words += ["--at-least", "100"]
    result = compress(folder / "mine.onnx", folder / "runs", *words)
    assert 4 == result.exit_code
    assert f"goal missed; best within the budget is {told['chosen']}: " in result.stdout
    assert "asked is 100.00x at no more than 10.00% lost; nothing gains that" in result.stdout
    steps = [line.split()[1] for line in result.stdout.splitlines() if "side by side" in line or line.endswith(" MB")]
    assert {"unchanged"} == set(steps)
    cost = compress(folder / "mine.onnx", folder / "runs", *words[:-3], "0.000001", "--at-least", "2")
    assert 4 == cost.exit_code
    assert " would cost fidelity 0.9" in cost.stdout


def test_a_search_without_time_finds_all_that_is_done(folder: Path, told: dict[str, Any]) -> None:
    """Every trial of the search before, and what came of it: not the file itself alone."""
    words: list[str | Path] = ["--samples", folder / "rows.npz", "--objective", "size", "--max-drop", "0.1", "--json"]
    result = compress(folder / "mine.onnx", folder / "runs", *words, "--minutes", "0.0001")
    assert 0 == result.exit_code, result.stderr
    found = json.loads(result.stdout)
    for key in ("rows", "chosen", "front", "tested", "ended"):
        assert told[key] == found[key]
    assert told["evidence"].keys() == found["evidence"].keys()


@pytest.mark.parametrize(
    "words, text",
    [
        (["--max-drop", "1"], "error: --max-drop: must be a share"),
        (["--at-least", "0"], "error: --at-least: must be positive"),
        (["--minutes", "-1"], "error: --minutes: must be positive"),
        (["--objective", "speed"], "'speed' is not one of"),
    ],
)
def test_a_wrong_flag_is_named(folder: Path, tmp_path: Path, words: Sequence[str], text: str) -> None:
    """With exit code 2, before anything is done."""
    result = compress(folder / "mine.onnx", tmp_path / "runs", *words)
    assert (2, True) == (result.exit_code, text in result.stderr)
    assert not (tmp_path / "runs").exists()


def test_what_cant_be_searched_is_said(folder: Path, tmp_path: Path) -> None:
    """A file that isn't there, one without a batch, samples that are no numbers."""
    missing = compress(tmp_path / "none.onnx", tmp_path / "runs")
    assert (2, True) == (missing.exit_code, "none.onnx" in missing.stderr)
    bare = compress(saved(series(), tmp_path, "series.onnx"), tmp_path / "runs")
    assert (2, True) == (bare.exit_code, "series.onnx: has no batch" in bare.stderr)
    np.savez(tmp_path / "nan.npz", rows=np.full_like(ROWS, np.nan))
    unsound = compress(folder / "mine.onnx", tmp_path / "runs", "--samples", tmp_path / "nan.npz")
    assert (2, True) == (unsound.exit_code, "NaN" in unsound.stderr or "no number" in unsound.stderr)
