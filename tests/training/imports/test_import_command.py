"""`hone-train import`: what is published, what the card says, and that the service answers as the original did."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tritonclient.http
from onnx import TensorProto
from typer.testing import CliRunner, Result

from service.artifact.card import load_card
from service.artifact.config import read_config
from service.artifact.digest import sha256_file
from tests.training.imports.graphs import linear, one_node, saved, series
from training import serving
from training.__main__ import app
from training.session import open_runner

ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def bring(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, words)])


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of somebody's: for batches, with labels; without a batch; with one number a row."""
    folder = tmp_path_factory.mktemp("brought")
    (folder / "labels.txt").write_text("cat\ndog\nowl\n")
    rows = saved(linear(), folder, "rows.onnx")
    shape: Sequence[str | int] = [2, "side"]
    whole = saved(one_node("Relu", (TensorProto.FLOAT,) * 2, (shape, shape)), folder, "whole.onnx")
    named: list[str | Path] = ["--repository", folder / "models"]
    told = bring(rows, "--name", "rows", "--labels", folder / "labels.txt", "--max-batch", "16", *named)
    assert 0 == told.exit_code, told.output
    assert 0 == bring(whole, "--name", "whole", *named).exit_code
    bare = saved(one_node("Identity", (TensorProto.FLOAT,) * 2, (["N"], ["N"])), folder, "bare.onnx")
    assert 0 == bring(bare, "--name", "bare", *named).exit_code
    told = bring(saved(series(), folder, "series.onnx"), "--name", "series", *named)
    assert (0, True) == (told.exit_code, "without a batch (max_batch_size: 0): a row alone" in told.stdout)
    return folder / "models"


@pytest.fixture(scope="module")
def client(repository: Path) -> Iterator[tritonclient.http.InferenceServerClient]:
    """A client of the real service on all of them."""
    with serving.serving(repository, ["rows", "whole", "bare", "series"]) as served:
        yield served._client


def ask(client: tritonclient.http.InferenceServerClient, model: str, name: str, array: Any, **named: int) -> Any:
    tensor = tritonclient.http.InferInput(name, list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    (output,) = client.get_model_metadata(model)["outputs"]
    wanted = tritonclient.http.InferRequestedOutput(output["name"], **named)
    return client.infer(model, [tensor], outputs=[wanted]).as_numpy(output["name"])


def test_the_service_answers_as_the_original(client: tritonclient.http.InferenceServerClient, repository: Path) -> None:
    """In batches, and by the labels that came along."""
    (expected,) = open_runner(linear().SerializeToString())([ROWS])
    assert np.allclose(expected, ask(client, "rows", "rows", ROWS), atol=1e-6)
    best = [text.decode().rpartition(":")[2] for text in ask(client, "rows", "rows", ROWS, class_count=1).ravel()]
    assert [("cat", "dog", "owl")[at] for at in expected.argmax(axis=1)] == best


def test_the_service_answers_for_a_model_without_a_batch(client: tritonclient.http.InferenceServerClient) -> None:
    """The whole tensor is one request, of any length where the model takes any."""
    for side in (3, 7):
        array = np.linspace(-1, 1, 2 * side, dtype=np.float32).reshape(2, side)
        assert np.array_equal(np.maximum(array, 0), ask(client, "whole", "x", array))


def test_the_service_does_not_cut_a_series(client: tritonclient.http.InferenceServerClient) -> None:
    """Whose first axis is time: forty steps are one request, however many rows a batch of others has."""
    steps = np.random.default_rng(2).normal(size=(40, 1, 3)).astype(np.float32)
    (expected,) = open_runner(series().SerializeToString())([steps])
    assert np.allclose(expected, ask(client, "series", "x", steps), atol=1e-6)


def test_the_service_answers_for_one_number_a_row(client: tritonclient.http.InferenceServerClient) -> None:
    """A config has at least one axis, so clients see a column of them."""
    array = np.arange(3, dtype=np.float32)[:, np.newaxis]
    assert np.array_equal(array, ask(client, "bare", "x", array))


def test_the_config_is_the_graph_s(repository: Path) -> None:
    """Names, datatypes and shapes, without the batch where there is one."""
    rows, whole = (read_config(repository / name / "config.pbtxt", name=name) for name in ("rows", "whole"))
    assert (16, 0) == (rows.max_batch_size, whole.max_batch_size)
    told = [(one.name, one.datatype, one.shape) for one in (*rows.inputs, *rows.outputs, *whole.inputs)]
    assert [("rows", "FP32", (4,)), ("scores", "FP32", (3,)), ("x", "FP32", (2, -1))] == told


def test_the_card_says_where_it_came_from(repository: Path) -> None:
    """The file with its digest, versions, and how the answers were compared."""
    card = load_card(repository / "rows" / "1" / "card.json")
    source = repository.parent / "rows.onnx"
    assert ("rows", "imported", None) == (card.family, card.variant, card.parent)
    record = {"sha256": sha256_file(source), "bytes": source.stat().st_size}
    assert {"from": "rows.onnx", "files": {"rows.onnx": record}, "converted_by": {}} == card.evidence["imported"]
    assert ({"ai.onnx": 17}, 9, "somebody") == tuple(
        card.evidence["onnx"][key] for key in ("opsets", "ir_version", "producer")
    )
    assert [[1, 4], [3, 4], [8, 4]] == card.evidence["parity"]["shapes"]
    assert {"parity_difference": card.evidence["parity"]["difference"]} == card.metrics


def test_it_is_told_as_lines_and_as_json(tmp_path: Path) -> None:
    """The second time nothing is new; another model of that name is the next version."""
    path = saved(linear(), tmp_path)
    to: list[str | Path] = ["--repository", tmp_path / "models"]
    assert "published mine version 1 in " in bring(path, "--name", "mine", *to).stdout
    assert "unchanged mine version 1 in " in bring(path, "--name", "mine", *to).stdout
    other = linear()
    other.graph.node[1].op_type = "LogSoftmax"
    told = json.loads(bring(saved(other, tmp_path), "--name", "mine", *to, "--keep", "1", "--json").stdout)
    assert ("mine", 2, True) == tuple(told["published"][key] for key in ("name", "version", "new"))
    assert "random numbers, seed 0" == told["evidence"]["parity"]["samples"]


@pytest.mark.parametrize(
    "words, code, text",
    [
        (["nothing.onnx", "--name", "x"], 2, "nothing.onnx: isn't there: it should be a .onnx or .keras file, or the"),
        (["labels.txt", "--name", "x"], 2, "labels.txt: isn't a .onnx or .keras file, or the folder of a TensorFlow"),
        (["model.onnx", "--name", "../x"], 2, "--name '../x': letters, digits"),
        (["model.onnx", "--name", "x", "--labels", "labels.txt"], 2, "has 2 lines, and no output ends in as many"),
        (["model.onnx", "--name", "x", "--labels", "gaps.txt"], 2, "gaps.txt: must name a class in each line"),
        (["model.onnx", "--name", "x", "--labels", "none.txt"], 2, "none.txt: can't be read as text"),
        (["model.onnx", "--name", "x", "--max-batch", "0"], 2, "greater than or equal to 1"),
        (["number.onnx", "--name", "x"], 2, "y: is one number without an axis, and no config says such; reshape it"),
        (["empty.onnx", "--name", "x"], 2, 'input "x": dims are [0], expected numbers above 0, or -1'),
        (["bad.onnx", "--name", "x"], 2, "bad.onnx: isn't a sound ONNX file"),
        (["saved", "--name", "x"], 2, f"{sys.executable} has no tensorflow and no tf2onnx; install tensorflow-cpu"),
        (["saved", "--name", "x", "--python", "no-python"], 2, "--python no-python: can't be run"),
    ],
)
def test_mistakes_are_named(
    words: Sequence[str], code: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, and nothing is published."""
    monkeypatch.chdir(tmp_path)
    onnx.save(linear(), "model.onnx")
    onnx.save(one_node("Squeeze", (TensorProto.FLOAT,) * 2, ([1], [])), "number.onnx")
    onnx.save(one_node("Relu", (TensorProto.FLOAT,) * 2, (["N", 0], ["N", 0])), "empty.onnx")
    Path("bad.onnx").write_text("no model")
    Path("labels.txt").write_text("cat\ndog\n")
    Path("gaps.txt").write_text("cat\n\ndog\n")
    Path("saved").mkdir()
    Path("saved/saved_model.pb").touch()
    result = bring(*words, "--repository", "models")
    assert code == result.exit_code
    assert text in result.stderr
    assert not Path("models").exists()
