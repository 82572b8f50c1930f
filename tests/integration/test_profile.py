"""`hone-serve profile`: every runtime that is installed is measured, and the best is written if asked."""

import json
import os
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.integration import models
from tests.integration.served import Served, serving, write_model

CONFIG = "max_batch_size: 4 dynamic_batching { }"
LENGTHS = """
max_batch_size: 4
dynamic_batching { }
parameters { key: "hone.length.ids" value { string_value: "axis=1 buckets=4,8 mask=mask" } }
"""


def test_all_runtimes_are_measured_and_the_best_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At all batch sizes; what is chosen stands in config.pbtxt afterwards, also where lengths are declared."""
    write_model(tmp_path, "m", config=LENGTHS, model=models.lengths())

    assert ExitCode.OK == dispatch(["profile", "m", "--model-repository", str(tmp_path), "--json", "--write"])
    found = json.loads(capsys.readouterr().out)
    (chosen,) = [one for one in found if one["chosen"]]
    assert f'backend: "{chosen["backend"]}"' in (tmp_path / "m" / "config.pbtxt").read_text()
    assert ("onnxruntime", 0.0) == (found[0]["backend"], found[0]["error"])
    for one in found:
        assert one["problem"] or [1, 2, 4] == [batch["rows"] for batch in one["batches"]]


@pytest.mark.parametrize("model", [models.centred, models.fixed])
def test_nothing_but_the_runtime_changes_where_there_was_no_config(tmp_path: Path, model: Callable[[], bytes]) -> None:
    """Written are also the batches that the model was served in without one; inputs and outputs are still its own."""
    write_model(tmp_path, "m", config=None, model=model())
    with serving(tmp_path) as served:
        before = config_of(served)
    assert ExitCode.OK == dispatch(["profile", "m", "--model-repository", str(tmp_path), "--write"])
    assert "input" not in (tmp_path / "m" / "config.pbtxt").read_text()
    with serving(tmp_path) as served:
        after = config_of(served)

    chosen = {key: after[key] for key in ("backend", "platform", "parameters")}
    assert "hone.precision" in chosen["parameters"]
    assert before | chosen == after


def test_what_cannot_be_written_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured where that is known already, and without a trace where it turns out later."""
    write_model(tmp_path, "m", config=CONFIG, model=models.centred())
    words = ["profile", "m", "--model-repository", str(tmp_path), "--write"]
    (tmp_path / "m" / ".config.pbtxt.new").mkdir()
    assert dispatch(words) != ExitCode.OK
    assert "m/config.pbtxt can't be written: Is a directory" in capsys.readouterr().err

    monkeypatch.setattr(os, "access", lambda *_: False)
    assert dispatch(words) != ExitCode.OK
    said = capsys.readouterr()
    assert said.out == ""
    assert "m/config.pbtxt can't be written: the folder is read-only" in said.err
    assert CONFIG == (tmp_path / "m" / "config.pbtxt").read_text()


def config_of(served: Served) -> dict[str, Any]:
    with urllib.request.urlopen(f"{served.http}/v2/models/m/config", timeout=5) as response:
        config: dict[str, Any] = json.load(response)
    return config


def test_what_cannot_be_measured_is_not_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where lengths vary undeclared nothing is timed: that is said, and nothing is written."""
    write_model(tmp_path, "m", config=CONFIG, model=models.lengths())

    assert ExitCode.FAILED == dispatch(["profile", "m", "--model-repository", str(tmp_path), "--write"])
    said = " ".join(capsys.readouterr().out.split())
    assert "m: none is chosen, because no batch could be timed: where lengths vary, declare them" in said
    assert CONFIG == (tmp_path / "m" / "config.pbtxt").read_text()


def test_golden_samples_are_what_a_model_is_profiled_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that refuses what is made up is measured with them; without them the reason is shown."""
    version = write_model(tmp_path, "m", config=CONFIG, model=models.divided())
    words = ["profile", "m", "--model-repository", str(tmp_path), "--json"]
    dispatch(words)
    assert "golden.npz can hold better ones" in json.loads(capsys.readouterr().out)[0]["problem"]

    x = np.array([[1], [2], [10], [-5], [4]], np.int32)
    samples: dict[str, Any] = {"input.x": x, "output.y": 1000 // x}
    np.savez(version / "golden.npz", **samples)
    assert ExitCode.OK == dispatch(words)
    reference, *_ = json.loads(capsys.readouterr().out)
    assert ("", [1, 2, 4]) == (reference["problem"], [batch["rows"] for batch in reference["batches"]])
    assert 0.0 == reference["influence_of_batch_mates"]
