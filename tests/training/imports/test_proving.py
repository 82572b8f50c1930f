"""A model is published only as what it was, whatever its shapes, and on samples that fit it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from service.errors import ArtifactError, SettingsError
from tests.training.imports.graphs import columns, dynamic, linear, one_node, saved, series
from training.imports import onnx_file
from training.imports.converted import Converted
from training.imports.proving import prove
from training.session import open_runner

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT)


def proved(model: onnx.ModelProto, folder: Path, **named: Any) -> Any:
    settings = {"samples": None, "batched": False, **named}
    return prove(onnx_file.load(saved(model, folder)), folder / "out.onnx", **settings)


def test_batches_of_three_sizes_are_compared(tmp_path: Path) -> None:
    """The first axis that varies in all tensors is the batch, however the file calls it; a seed makes the numbers."""
    made = proved(linear(), tmp_path)
    assert made.tensors.batched
    assert ((1, 4), (3, 4), (8, 4)) == made.shapes
    assert 0 == made.parity
    assert (8, 3) == made.answers[0].shape
    written = onnx.load(tmp_path / "out.onnx").graph
    assert {"batch"} == {value.type.tensor_type.shape.dim[0].dim_param for value in (*written.input, *written.output)}
    assert np.array_equal(made.samples[0], proved(linear(), tmp_path).samples[0])


def test_a_batch_of_one_stays_one_unless_more_is_asked_for(tmp_path: Path) -> None:
    """And then each row is what the original answers for it alone."""
    made = proved(linear(batch=(1, 1)), tmp_path)
    assert not made.tensors.batched
    assert ((1, 4),) == made.shapes
    made = proved(linear(batch=(1, 1)), tmp_path, batched=True)
    assert made.tensors.batched
    assert made.parity < 1e-6
    assert (5, 3) == open_runner(tmp_path / "out.onnx")([np.ones((5, 4), np.float32)])[0].shape


def test_a_batch_that_is_written_into_the_graph_cannot_be_made_another(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor can what has none; the runtime's own lines about it aren't shown."""
    text = (
        r"the ONNX file can't compute rows \[3, 4\], as the original does .*; a batch of one is written into its graph"
    )
    with pytest.raises(ArtifactError, match=text):
        proved(linear(batch=(1, 1), reshape=True), tmp_path, batched=True)
    assert ("", "") == tuple(capfd.readouterr())
    with pytest.raises(ArtifactError, match="rows, scores: the first axis isn't a batch of one"):
        proved(linear(batch=(6, 6)), tmp_path, batched=True)


def test_rows_that_are_not_kept_are_no_batch(tmp_path: Path) -> None:
    """A first axis that varies, and varies otherwise in what is answered."""
    model = one_node("NonZero", (TensorProto.FLOAT, TensorProto.INT64), (["N"], ["axes", "found"]))
    made = proved(model, tmp_path)
    assert not made.tensors.batched
    assert (1, 8) == made.answers[0].shape


@pytest.mark.parametrize("whole", [series(), columns(), dynamic()], ids=["time", "softmax", "dynamic"])
def test_rows_that_change_each_other_are_no_batch(whole: onnx.ModelProto, tmp_path: Path) -> None:
    """Time, a share among all rows, a range that is learnt from all: each row alone is something else."""
    made = proved(whole, tmp_path)
    assert not made.tensors.batched
    assert made.unbatched.startswith("a row alone is answered otherwise than among others")
    assert made.answers[0].shape[0] == made.samples[0].shape[0] == 8
    assert "" == proved(linear(), tmp_path).unbatched


def test_what_varies_is_tried_at_two_sizes_also_without_a_batch(tmp_path: Path) -> None:
    """A call that was recorded at one of them may be frozen there."""
    model = series()
    run = open_runner(model.SerializeToString())
    made = prove(
        Converted(
            model=model,
            original=lambda _, batches: [{"y": run(batch)[0]} for batch in batches],
            made_by={},
            traced=True,
        ),
        tmp_path / "out.onnx",
        samples=None,
        batched=False,
    )
    assert ((8, 1, 3), (4, 1, 3)) == made.shapes


def test_answers_by_chance_are_refused(tmp_path: Path) -> None:
    """Golden samples would be of one moment; the operator that draws is named, if it is one that does."""
    model = one_node("RandomNormalLike", FLOATS, (["N", 4], ["N", 4]))
    with pytest.raises(ArtifactError, match=r"answered otherwise each time by chance \(RandomNormalLike\); make what"):
        proved(model, tmp_path)


@pytest.mark.parametrize("kind", [TensorProto.UINT8, TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT16])
def test_numbers_of_every_kind_are_made_up(kind: int, tmp_path: Path) -> None:
    """Bytes any, wider integers that are in any table, of the model's own datatype."""
    made = proved(one_node("Identity", (kind, kind), (["N", 50], ["N", 50])), tmp_path)
    (array,) = made.samples
    assert made.tensors.inputs[0].dtype == array.dtype
    largest = {"uint8": 255, "int64": 1, "bool": 1, "float16": 9}[array.dtype.name]
    assert 0.5 < array.max() <= largest


def test_texts_need_samples(tmp_path: Path) -> None:
    """None are made up; those that are given go through."""
    model = one_node("Identity", (TensorProto.STRING, TensorProto.STRING), (["N", 1], ["N", 1]))
    with pytest.raises(SettingsError, match="x: takes texts, of which none can be made up; name a file with --samples"):
        proved(model, tmp_path)
    np.savez(tmp_path / "words.npz", np.array([["one"], ["two"]]))
    made = proved(model, tmp_path, samples=tmp_path / "words.npz")
    assert ["one", "two"] == made.answers[0][:2, 0].tolist()
    assert made.drawn_from.startswith("words.npz, SHA-256 ")


@pytest.mark.parametrize(
    "arrays, text",
    [
        ({"a": np.ones((2, 4)), "b": np.ones((2, 4))}, "lacks rows; it holds a, b"),
        ({"rows": np.ones((2, 5))}, r"rows is \[2, 5\], the model takes \[-1, 4\]"),
        ({"rows": np.array([["a"] * 4])}, "rows holds <U1, the model takes float32"),
        ({"rows": np.ones((0, 4))}, "as many rows, at least one"),
        ({}, "lacks rows; it holds nothing"),
    ],
)
def test_samples_that_do_not_fit_are_named(arrays: dict[str, Any], text: str, tmp_path: Path) -> None:
    """The array, what it is and what the model takes."""
    np.savez(tmp_path / "samples.npz", **arrays)
    with pytest.raises(SettingsError, match=f"samples.npz: .*{text}"):
        proved(linear(), tmp_path, samples=tmp_path / "samples.npz")


def test_samples_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """No file, and one of something else."""
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("nothing.npz", "text.npz"):
        with pytest.raises(SettingsError, match=f"{name}: isn't a(n| readable) NPZ file"):
            proved(linear(), tmp_path, samples=tmp_path / name)


def test_few_samples_are_repeated(tmp_path: Path) -> None:
    """So that there are batches of three sizes; double precision is taken for single."""
    np.savez(tmp_path / "samples.npz", rows=np.eye(4)[:3])
    made = proved(linear(), tmp_path, samples=tmp_path / "samples.npz")
    assert ((1, 4), (3, 4), (8, 4)) == made.shapes
    assert np.array_equal(made.samples[0][0], made.samples[0][3])


@pytest.mark.parametrize("wrong", [0.01, np.nan])
def test_other_answers_are_refused(wrong: float, tmp_path: Path) -> None:
    """A difference beyond the order of additions, and what is no number."""
    model = linear()
    run = open_runner(model.SerializeToString())

    def original(_: Sequence[str], batches: Any) -> list[dict[str, Any]]:
        return [{"scores": run(batch)[0] + np.float32(wrong)} for batch in batches]

    with pytest.raises(
        ArtifactError, match=r"from the original by 0\.01 in an|answers NaN or infinity \(scores, sample 0 of random"
    ):
        prove(Converted(model=model, original=original, made_by={}), tmp_path / "o.onnx", samples=None, batched=False)


def test_what_the_original_cannot_compute_is_told(tmp_path: Path) -> None:
    """With its shapes: random numbers may be of none that it takes."""
    model = linear()
    model.graph.input[0].type.tensor_type.shape.dim[1].Clear()
    with pytest.raises(ArtifactError, match=r"the original can't compute rows \[1, 8\] .*with --samples"):
        proved(model, tmp_path)


def test_what_is_no_tensor_is_named(tmp_path: Path) -> None:
    """A sequence, as scikit-learn's converters answer, and a datatype that no request can hold."""
    sequence = one_node("SequenceConstruct", FLOATS, (["N", 4], []))
    del sequence.graph.output[0]
    sequence.graph.output.append(onnx.helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None))
    with pytest.raises(ArtifactError, match=r"y: is a sequence, and no tensor; .*zipmap=False"):
        proved(sequence, tmp_path)
    narrow = one_node("Identity", (TensorProto.BFLOAT16,) * 2, (["N"], ["N"]))
    with pytest.raises(ArtifactError, match="x: has the datatype bfloat16; cast it"):
        proved(narrow, tmp_path)
