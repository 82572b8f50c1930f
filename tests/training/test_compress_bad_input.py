"""`hone-train compress` on what can't be compressed: one line says what is wrong, and what to do."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from typer.testing import CliRunner

from tests.training import odd_graphs
from tests.training.imports.graphs import dynamic, one_node, saved
from training.__main__ import app
from training.commands.outcome import FAILED, WRONG_SETTING
from training.compression.quantization.half import half
from training.compression.quantization.preparation import prepare
from training.specimens.file import FileSettings, FileSpecimen
from training.steps.journal import Journal

ROWS = odd_graphs.samples_of(odd_graphs.perceptron())["x"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user is, with a model."""
    monkeypatch.chdir(tmp_path)
    saved(odd_graphs.perceptron(), tmp_path, "mine.onnx")
    return tmp_path


def refused(text: str, *words: str | Path, code: int = WRONG_SETTING) -> None:
    """It ends with `code` and one line of error that has `text`."""
    told = CliRunner().invoke(app, ["compress", *map(str, words)])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    assert code == told.exit_code, told.output
    (line,) = [line for line in told.stderr.splitlines() if line.startswith("error: ")]
    assert text in line


def spoilt(value: float) -> np.ndarray[Any, Any]:
    rows = ROWS.copy()
    rows[3, 1] = value
    return rows


UNFIT: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "lacks x; it holds nothing; name arrays as inputs: np.savez(..., x=...)"),
    "another name": ({"rows": ROWS}, "lacks x; it holds rows; name arrays as inputs"),
    "two": ({"arr_0": ROWS, "arr_1": ROWS}, "lacks x; it holds arr_0, arr_1; name arrays as inputs"),
    "no rows": ({"x": ROWS[:0]}, "all inputs must have as many rows, at least one; there are 0 of x"),
    "narrow": ({"x": ROWS[:, :3]}, "x is [24, 3], the model takes [-1, 32]"),
    "flat": ({"x": ROWS[0]}, "x is [32], the model takes [-1, 32]"),
    "a number": ({"x": np.float32(1)}, "x is [], the model takes [-1, 32]"),
    "complex": ({"x": ROWS.astype(complex)}, "x holds complex128, the model takes float32"),
    "texts": ({"x": ROWS.astype(str)}, "x holds <U"),
    "objects": ({"x": np.array([{}])}, "isn't a readable NPZ file (Object arrays"),
}


@pytest.mark.parametrize("one", UNFIT)
def test_samples_that_do_not_fit(one: str) -> None:
    """By the file's name and the input's."""
    arrays, text = UNFIT[one]
    np.savez("rows.npz", **arrays)
    refused(f"rows.npz: {text}", "mine.onnx", "--samples", "rows.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(value: float) -> None:
    """With the first that isn't."""
    np.savez("rows.npz", x=spoilt(value))
    refused("x holds NaN or infinity in 1 of 24 samples, first in sample 3", "mine.onnx", "--samples", "rows.npz")


def test_samples_that_are_no_npz() -> None:
    """A file that is missing, one of something else, one array, one that is cut off."""
    np.savez("whole.npz", x=ROWS)
    Path("cut.npz").write_bytes(Path("whole.npz").read_bytes()[:900])
    Path("text.npz").write_text("x")
    np.save("one.npy", ROWS)
    for name, text in {
        "none.npz": "isn't a readable NPZ file ([Errno 2] No such file",
        "text.npz": "isn't an NPZ file; `np.savez` writes one",
        "one.npy": "isn't an NPZ file",
        "cut.npz": "isn't an NPZ file",
        ".": "isn't a readable NPZ file",
    }.items():
        refused(f"{name}: {text}", "mine.onnx", "--samples", name)


def two() -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in ("a", "b", "y")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["y"])], "two", ends[:2], ends[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_samples_of_several_inputs() -> None:
    """Each needs its own, and as many."""
    path = saved(two(), Path(), "two.onnx")
    np.savez("one.npz", a=ROWS[:, :4], c=ROWS[:, :4])
    refused("one.npz: lacks b; it holds a, c", path, "--samples", "one.npz")
    np.savez("uneven.npz", a=ROWS[:, :4], b=ROWS[:5, :4])
    refused("at least one; there are 24 of a, 5 of b", path, "--samples", "uneven.npz")


@pytest.mark.parametrize(
    "flag, value, text",
    [
        ("--minutes", "0", "must be positive"),
        ("--minutes", "nan", "must be positive"),
        ("--max-drop", "nan", "must be a share"),
        ("--max-drop", "-0.1", "must be a share"),
        ("--at-least", "nan", "must be positive and finite"),
        ("--at-least", "inf", "must be positive and finite"),
        ("--profile", "huge", "no profile `huge`; there are tiny, quick, full"),
        ("--samples", "rows.npz", "a recipe has its own data"),
    ],
)
def test_flags_that_mean_nothing(flag: str, value: str, text: str) -> None:
    """Named, before anything is done."""
    refused(text, "wine", flag, value)
    assert not Path("runs").exists()


@pytest.mark.parametrize("profile", ["full", "huge"])
def test_a_file_has_no_profiles(profile: str) -> None:
    """Nor is one passed over in silence."""
    refused(
        "--profile: is for recipes; for a .onnx file --minutes says how much to do", "mine.onnx", "--profile", profile
    )
    assert not Path("runs").exists()


def test_recipes_that_there_are_not() -> None:
    """The nearest is offered."""
    refused("no recipe `winee`, did you mean `wine`?", "winee")


def beside(location: str) -> onnx.ModelProto:
    """Its weights lie in another file."""
    model = odd_graphs.perceptron()
    for tensor in model.graph.initializer:
        content = tensor.raw_data
        onnx.external_data_helper.set_external_data(tensor, location=location, offset=0, length=len(content))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
    return model


def texts() -> onnx.ModelProto:
    """It answers names of classes."""
    made = odd_graphs.model(
        [helper.make_node("MatMul", ["x", "a"], ["scores"])], [32], [], {"a": odd_graphs.numbers(32, 2)}
    )
    made.graph.initializer.append(numpy_helper.from_array(np.array(["cat", "dog"], dtype=object), "names"))
    made.graph.node.append(helper.make_node("ArgMax", ["scores"], ["best"], axis=1, keepdims=0))
    made.graph.node.append(helper.make_node("Gather", ["names", "best"], ["y"]))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    return made


def dropping() -> onnx.ModelProto:
    """A dropout that is still on."""
    made = odd_graphs.perceptron()
    made.graph.node[0].input[0] = "dropped"
    made.graph.node.insert(0, helper.make_node("Dropout", ["x", "ratio", "training"], ["dropped"]))
    made.graph.initializer.append(numpy_helper.from_array(np.array(0.5, np.float32), "ratio"))
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "training"))
    return made


def learning() -> onnx.ModelProto:
    """A batch norm that is still being trained."""
    statistics = {name: np.ones(32, np.float32) for name in ("scale", "shift", "mean", "variance")}
    norm = helper.make_node("BatchNormalization", ["x", *statistics], ["y", "means", "variances"], training_mode=1)
    return odd_graphs.model([norm], [32], [32], statistics)


MODELS: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "operator": (
        lambda: one_node("Frobnicate", (1, 1), (["N", 4], ["N", 4]), "my.ops"),
        "has operators that ONNX Runtime doesn't have: my.ops.Frobnicate; export it with operators of ONNX alone",
    ),
    "no batch": (lambda: one_node("Relu", (1, 1), ([1, 4], [1, 4])), "has no batch, the first axis doesn't vary in x"),
    "opset": (lambda: odd_graphs.perceptron(opset=99), "is of opset 99, which can't be converted"),
    "missing": (lambda: beside("none.bin"), "keeps its weights in none.bin, which isn't there"),
    "escaping": (lambda: beside("../outside.bin"), "points outside the directory"),
    "absolute": (lambda: beside("/etc/passwd"), "isn't a sound ONNX file (Location of external"),
    "texts": (texts, "takes or answers texts (y)"),
    "dropout": (dropping, "the same inputs are answered otherwise each time by chance (Dropout)"),
    "training": (learning, "its batch norms are being trained: export it in evaluation mode"),
    "dynamic": (dynamic, "it is quantized by the ranges of each batch (DynamicQuantizeLinear): give the float model"),
}


@pytest.mark.parametrize("one", MODELS)
def test_models_that_cannot_be_compressed(one: str) -> None:
    """By the file's name, what about it can't be, and what to do."""
    make, text = MODELS[one]
    Path("../outside.bin").write_bytes(bytes(32 * 64 * 4))
    refused(text, saved(make(), Path(), "odd.onnx"))


def test_files_that_are_no_models() -> None:
    """None, an empty one, one that is cut off, one with a name that no folder can have."""
    whole = Path("mine.onnx").read_bytes()
    for name, content in {"empty.onnx": b"", "cut.onnx": whole[: len(whole) // 2], "text.onnx": b"hello"}.items():
        Path(name).write_bytes(content)
        refused(f"{name}: isn't a sound ONNX file", name)
    refused("none.onnx: isn't there", "none.onnx")
    Path("folder.onnx").mkdir()
    refused("folder.onnx: isn't a file", "folder.onnx")
    refused("mine.keras: isn't an ONNX file; `hone-train import` publishes one of it", "mine.keras")
    Path("my model.onnx").write_bytes(whole)
    refused("my model.onnx: must be called by letters, digits", "my model.onnx")


def test_a_file_that_ends_the_process_which_loads_it() -> None:
    """By a fault of the runtime, which is said instead."""
    prepare(saved(odd_graphs.recurrent(), Path(), "steps.onnx"), Path("prepared.onnx"))
    half(Path("prepared.onnx"), Path("fatal.onnx"))
    refused("fatal.onnx: ONNX Runtime ends its process (SIGSEGV)", "fatal.onnx")


def test_a_file_that_a_run_keeps_and_somebody_changed() -> None:
    """It is no file that was given, and can be made anew."""
    with Journal(
        FileSettings(name="mine", source=Path("mine.onnx")), Path("runs"), Console(file=StringIO())
    ) as journal:
        FileSpecimen(journal)
        journal.path("import", "model.onnx").write_bytes(b"")
    refused("import/model.onnx: isn't what this step wrote; --retrain makes it anew", "mine.onnx")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Somebody else is at work there."""
    folder.mkdir(parents=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def test_two_searches_never_share_a_folder() -> None:
    """The second one says so, and touches nothing."""
    with held(Path("runs/mine/file")):
        refused(
            "another run is at work in runs/mine/file; wait for it, or name another folder", "mine.onnx", code=FAILED
        )
    assert [] == list(Path("runs/mine/file").iterdir())


def test_runs_that_cannot_be_written() -> None:
    """The path is named."""
    Path("taken").write_text("")
    refused("taken/below/mine/file", "mine.onnx", "--runs", "taken/below", code=FAILED)


@pytest.mark.parametrize("where", ["/proc/nope", "taken/below"])
def test_repositories_that_cannot_be_written(where: str) -> None:
    """Nor by root, who may do everything; known before anything is done."""
    Path("taken").write_text("")
    refused("isn't a folder that can be written to", "mine.onnx", "--repository", where, code=FAILED)
    assert not Path("runs").exists()


def test_a_checkpoint_of_another_architecture() -> None:
    """In the place of the network that was trained: it is found out, and nothing is made of it."""
    train = CliRunner().invoke(app, ["train", "sunspots-rnn", "--profile", "tiny"])
    other = CliRunner().invoke(app, ["train", "wine", "--profile", "tiny"])
    assert (0, 0) == (train.exit_code, other.exit_code)
    shutil.copy("runs/wine/tiny/fit/network.safetensors", "runs/sunspots-rnn/tiny/fit/network.safetensors")
    text = "fit/network.safetensors: isn't what this step wrote; --retrain makes it anew"
    refused(text, "sunspots-rnn", "--profile", "tiny")
