"""`hone-serve check`: what would be served, as loading finds out, without serving it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.engine.ensemble.doubles import step
from tests.integration.served import CONFIG, mlp, run_to_end, serving, write_ensemble, write_model

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'


def check(repository: Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and a row for each model."""
    code, text = printed(repository, "--json")
    return code, json.loads(text)


def printed(repository: Path, *flags: str) -> tuple[int, str]:
    """The exit code, and what is printed."""
    command = [sys.executable, "-m", "service", "check", "--model-repository", str(repository), *flags]
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert "" == done.stderr
    return done.returncode, done.stdout


UNBATCHED = CONFIG.replace("max_batch_size: 16", "").replace("dynamic_batching { }", "")
MISFITS = {
    "axis": (UNBATCHED, 'input "x": config says shape [64], the model has [-1, 64]'),
    "datatype": (
        CONFIG.replace("TYPE_FP32 dims: [ 64 ]", "TYPE_FP16 dims: [ 64 ]"),
        'input "x": config says FP16, the model has FP32',
    ),
    "dims": (CONFIG.replace("[ 64 ]", "[ 63 ]"), 'input "x": config says shape [-1, 63], the model has [-1, 64]'),
    "input": (CONFIG.replace('"x"', '"a"'), 'input "a": the model has no such input'),
    "output": (CONFIG.replace('"y"', '"z"'), 'output "z": the model has no such output'),
}


def test_a_config_that_does_not_fit_its_file_is_found(tmp_path: Path) -> None:
    """Names, datatypes and dims are compared with the runtime's: one line has both, exit code 2."""
    for name, (config, _) in MISFITS.items():
        write_model(tmp_path, name, config=config)
    code, rows = check(tmp_path)

    assert 2 == code
    assert [[]] * len(MISFITS) == [row["versions"] for row in rows]
    assert {name: f"{name}/config.pbtxt: {problem}" for name, (_, problem) in MISFITS.items()} == {
        row["model"]: row["problem"] for row in rows
    }


def test_versions_that_cannot_be_served(tmp_path: Path) -> None:
    """A version that can't be loaded, or doesn't answer as its golden samples say, is named; where an older one would
    be served in its place, the exit code is another.
    """
    write_model(tmp_path, "cut", model=mlp()[:200])
    wrong_answers = write_model(tmp_path, "wrong")
    samples: dict[str, Any] = {"input.x": np.ones((1, 64), np.float32), "output.y": np.ones((1, 10), np.float32)}
    np.savez(wrong_answers / "golden.npz", **samples)
    write_model(tmp_path, "renewed")
    write_model(tmp_path, "renewed", config=None, model=b"nonsense", version=2)
    code, (cut, renewed, wrong) = check(tmp_path)

    assert 2 == code
    assert "isn't ONNX" in cut["problem"]
    assert "golden" in wrong["problem"]
    assert [1] == renewed["versions"]
    shutil.rmtree(tmp_path / "cut")
    shutil.rmtree(tmp_path / "wrong")
    assert 1 == check(tmp_path)[0]
    shutil.rmtree(tmp_path / "renewed" / "2")
    assert 0 == check(tmp_path)[0]


def test_each_refused_version_is_named_with_its_reason(tmp_path: Path) -> None:
    """Those that the policy asks for, in the table and in JSON, whatever is served in their place."""
    write_model(tmp_path, "m", config=CONFIG + "version_policy { latest { num_versions: 2 } }")
    write_model(tmp_path, "m", config=None, version=3)
    write_model(tmp_path, "m", config=None, version=20, model=b"nonsense")
    write_model(tmp_path, "m", config=None, version=21, model=b"")
    code, (row,) = check(tmp_path)

    assert (1, [3, 1]) == (code, row["versions"])
    assert {
        "20": "m/20: the model file isn't ONNX: unknown wire type 6",
        "21": "m/21/model.onnx: is empty",
    } == row["refused"]
    assert "; ".join(row["refused"][version] for version in ("21", "20")) == row["problem"]
    code, table = printed(tmp_path)
    assert 1 == code
    assert "version 20: the model file isn't ONNX: unknown wire type 6" in table
    assert "version 21: m/21/model.onnx: is empty" in table


def test_what_run_refuses_on_this_machine_is_refused(tmp_path: Path) -> None:
    """A model for a GPU that isn't there: both say so, and `check` also finds what doesn't fit its config."""
    on_gpu = "instance_group { kind: KIND_GPU gpus: 77 }"
    write_model(tmp_path, "m", config=CONFIG + on_gpu)
    code, errors = run_to_end(
        [
            "run",
            "--model-repository",
            str(tmp_path),
            "--http-port",
            "0",
            "--grpc-port",
            "0",
            "--metrics-port",
            "0",
            "--log-format",
            "json",
        ]
    )
    reasons = [json.loads(line).get("reason") for line in errors.splitlines()]
    assert 2 == code
    write_model(tmp_path, "n", config=CONFIG.replace('"x"', '"a"') + on_gpu)
    code, (fits, misfits) = check(tmp_path)

    assert (2, [], []) == (code, fits["versions"], misfits["versions"])
    assert fits["problem"] in reasons
    assert fits["problem"].startswith("m/1: ")
    assert 'n/config.pbtxt: input "a": the model has no such input' in misfits["problem"]


def test_graphs_without_a_gpu_are_a_warning(tmp_path: Path) -> None:
    """What the config asks for and nothing honours is named, as fields of Triton's are; the model is served."""
    graphs = 'parameters { key: "hone.cuda_graphs" value { string_value: "true" } } instance_group { kind: KIND_CPU }'
    write_model(tmp_path, "m", config=CONFIG + graphs)
    code, (row,) = check(tmp_path)

    warning = "m/config.pbtxt: hone.cuda_graphs is ignored: no instance is on a GPU"
    assert (0, [1], [warning]) == (code, row["versions"], row["warnings"])
    with serving(tmp_path) as served:
        assert [warning] == [line["text"] for line in served.log if line.get("event") == "ignored"]


def test_what_another_server_computes_is_not_asked_for(tmp_path: Path) -> None:
    """The config of such a model is read, and no more; a model without a config is completed, as when it is served."""
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "config.pbtxt").write_text(REMOTE)
    write_model(tmp_path, "near", config=None)
    code, (far, near) = check(tmp_path)

    assert 0 == code
    assert ([1], None) == (far["versions"], far["problem"])
    assert ([1], None, []) == (near["versions"], near["problem"], near["warnings"])


def test_a_single_file(tmp_path: Path) -> None:
    """Loaded too."""
    (tmp_path / "good.onnx").write_bytes(mlp())
    (tmp_path / "bad.onnx").write_bytes(b"nonsense")

    assert 0 == check(tmp_path / "good.onnx")[0]
    code, (row,) = check(tmp_path / "bad.onnx")
    assert (2, "bad") == (code, row["model"])
    assert "isn't ONNX" in row["problem"]


def test_ensembles_are_checked_against_the_models_of_their_steps(tmp_path: Path) -> None:
    """As workers know these; one that lacks a model, doesn't fit or is made of itself would not be served."""
    write_model(tmp_path, "m", config=None)
    write_model(tmp_path, "bad", config=CONFIG.replace("[ 64 ]", "[ 63 ]"))
    ends = {"inputs": "in:FP32:64", "outputs": "out:FP32:10"}
    write_ensemble(tmp_path, "a-good", step("m", "x=in", "y=out"), **ends)
    write_ensemble(tmp_path, "lacking", step("bad", "x=in", "y=out"), **ends)
    write_ensemble(tmp_path, "old", step("m", "x=in", "y=out", 3), **ends)
    write_ensemble(tmp_path, "round", step("trip", "in=in", "out=out"), **ends)
    write_ensemble(tmp_path, "trip", step("round", "in=in", "out=out"), **ends)
    write_ensemble(tmp_path, "wrong", step("m", "x=in", "y=out"), inputs="in:FP32:64", outputs="out:FP32:9")
    code, rows = check(tmp_path)
    problems = {row["model"]: row["problem"] for row in rows}
    place = "config.pbtxt: ensemble_scheduling"

    assert 2 == code
    assert [1] == rows[0]["versions"]
    assert [None, None] == [problems.pop("a-good"), problems.pop("m")]
    assert problems.pop("bad")
    assert {
        "lacking": f'lacking/{place}: step 1 (model "bad"): no model "bad" would be served',
        "old": f'old/{place}: step 1 (model "m"): version 3 would not be served',
        "round": "round: an ensemble can't be made of itself: round -> trip -> round",
        "trip": "trip: an ensemble can't be made of itself: trip -> round -> trip",
        "wrong": f'wrong/{place}: tensor "out" has shape [-1, 10] as output "y" of step 1 (model "m"), but [-1, 9] as'
        ' output "out" of the ensemble',
    } == problems
