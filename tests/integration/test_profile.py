"""`hone-serve profile`: every runtime that is installed is measured, and the best is written if asked."""

import json
from pathlib import Path

import pytest

from service.command_line import dispatch
from service.exit_code import ExitCode
from tests.integration import models
from tests.integration.served import write_model

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


def test_what_cannot_be_measured_is_not_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where lengths vary undeclared nothing is timed: that is said, and nothing is written."""
    write_model(tmp_path, "m", config=CONFIG, model=models.lengths())

    assert ExitCode.FAILED == dispatch(["profile", "m", "--model-repository", str(tmp_path), "--write"])
    said = " ".join(capsys.readouterr().out.split())
    assert "m: none is chosen, because no batch could be timed: where lengths vary, declare them" in said
    assert CONFIG == (tmp_path / "m" / "config.pbtxt").read_text()
