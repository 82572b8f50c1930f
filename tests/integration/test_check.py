"""`hone-serve check`: what would be served, as loading finds out, without serving it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.integration.served import CONFIG, mlp, write_model

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'


def check(repository: Path) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and a row for each model."""
    command = [sys.executable, "-m", "service", "check", "--model-repository", str(repository), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "" == done.stderr
    return done.returncode, json.loads(done.stdout)


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
    be served in its place, that is a warning.
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
    assert ([1], None) == (renewed["versions"], renewed["problem"])
    assert ["isn't ONNX" in warning for warning in renewed["warnings"]] == [True]
    shutil.rmtree(tmp_path / "cut")
    shutil.rmtree(tmp_path / "wrong")
    assert 0 == check(tmp_path)[0]


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
