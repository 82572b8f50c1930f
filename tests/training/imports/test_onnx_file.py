"""ONNX files of anybody's: one file, of versions that the runtime takes, with operators that it has."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from service.artifact.external_data import asks_for_other_files
from service.errors import ArtifactError
from tests.training.imports.graphs import linear, one_node, saved
from training.graph import tensors_of
from training.imports import onnx_file
from training.session import open_runner

ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def test_a_sound_file_stays_as_it_is(tmp_path: Path) -> None:
    """Opset, IR version and all."""
    model = linear()
    assert model == onnx_file.load(saved(model, tmp_path)).model


def test_sizes_of_answers_that_the_file_leaves_open_are_told(tmp_path: Path) -> None:
    """As far as the runtime knows them: exporters give a name to what follows from sizes; the batch varies still."""
    model = linear()
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "Softmaxscores_dim_1"
    assert [(-1, 3)] == [one.dims for one in tensors_of(onnx_file.load(saved(model, tmp_path)).model).outputs]


def test_weights_in_other_files_are_taken_in(tmp_path: Path) -> None:
    """The original is the file with what lies beside it; the model needs nothing else."""
    path = tmp_path / "model.onnx"
    onnx.save(linear(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert asks_for_other_files(path.read_bytes())
    converted = onnx_file.load(path)
    alone = converted.model.SerializeToString()
    assert not asks_for_other_files(alone)
    (answer,) = converted.original(["rows"], [[ROWS]])
    assert np.array_equal(answer["scores"], open_runner(alone)([ROWS])[0])

    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx: .*weights\.bin"):
        onnx_file.load(path)


def test_weights_outside_the_folder_are_refused(tmp_path: Path) -> None:
    """A model names no files that only its reader may read."""
    (tmp_path / "inside").mkdir()
    path = tmp_path / "inside" / "model.onnx"
    onnx.save(linear(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "inside" / "weights.bin").rename(tmp_path / "weights.bin")
    model = onnx.load(path, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        entry.value = "../weights.bin" if entry.key == "location" else entry.value
    with pytest.raises(ArtifactError, match=r"model\.onnx: isn't a sound ONNX file \(.*weights\.bin"):
        onnx_file.load(saved(model, path.parent))


def test_more_weights_than_a_file_can_hold_are_refused(tmp_path: Path) -> None:
    """By their size, before they are read."""
    path = tmp_path / "model.onnx"
    onnx.save(linear(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(3 * 1024**3)  # sparse: no such bytes are on the disk
    with pytest.raises(ArtifactError, match=r"model\.onnx: has 3\.2 GB with its weights, and can have 2\.1"):
        onnx_file.load(path)


@pytest.mark.parametrize("versions", [{"opset": 6, "ir_version": 3}, {"opset": 28}, {"ir_version": 14}])
def test_other_versions_are_converted(versions: dict[str, int], tmp_path: Path) -> None:
    """What the runtime doesn't take, or promises nothing for, and the answers are those of ONNX's own evaluator."""
    model = linear(**{"opset": 17, **versions})  # type: ignore[arg-type]
    if versions.get("opset") == 6:  # before softmax had its axis, and weights could stand alone
        model.graph.input.append(onnx.helper.make_tensor_value_info("weights", TensorProto.FLOAT, [4, 3]))
    converted = onnx_file.load(saved(model, tmp_path))
    assert 20 == onnx_file.opset_of(converted.model)
    assert converted.model.ir_version <= 10
    assert {"onnx": onnx.__version__} == converted.made_by
    (answer,) = converted.original(["rows"], [[ROWS]])
    assert np.allclose(answer["scores"], open_runner(converted.model.SerializeToString())([ROWS])[0], atol=1e-6)


def test_an_adapter_that_wants_sizes_gets_them(tmp_path: Path) -> None:
    """Of an old model with a batch: it varies as before, and answers are those of the old one."""
    model = linear(opset=6, ir_version=3)
    model.graph.input.append(onnx.helper.make_tensor_value_info("weights", TensorProto.FLOAT, [4, 3]))
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Gemm", ["rows", "weights", "bias"], ["logits"], broadcast=1))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(3, np.float32), "bias"))
    model.graph.input.append(onnx.helper.make_tensor_value_info("bias", TensorProto.FLOAT, [3]))
    converted = onnx_file.load(saved(model, tmp_path))
    assert [-1, -1] == [
        one.dims[0] for one in (*tensors_of(converted.model).inputs, *tensors_of(converted.model).outputs)
    ]
    (answer,) = converted.original(["rows"], [[ROWS]])
    assert np.allclose(answer["scores"], open_runner(converted.model.SerializeToString())([ROWS])[0], atol=1e-6)


def test_operators_that_there_are_not_are_all_named(tmp_path: Path) -> None:
    """Also those in a branch, with their domain, and functions of the file's own are none of them."""
    model = one_node("Mine", (TensorProto.FLOAT, TensorProto.FLOAT), (["N", 4], ["N", 4]), domain="own.things")
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Theirs", ["x"], ["inner"], domain="own.things")],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["N", 4])],
    )
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch))
    with pytest.raises(ArtifactError, match=r"doesn't have: own\.things\.Mine, own\.things\.Theirs; export it"):
        onnx_file.load(saved(model, tmp_path))

    del model.graph.node[1]
    function = onnx.helper.make_function(
        "own.things", "Mine", ["x"], ["y"], [onnx.helper.make_node("Relu", ["x"], ["y"])], model.opset_import
    )
    model.functions.append(function)
    assert model == onnx_file.load(saved(model, tmp_path)).model


def test_a_model_without_onnx_s_own_operators_stays(tmp_path: Path) -> None:
    """As what scikit-learn's converters write: it has no opset of theirs to convert."""
    model = one_node("Scaler", (TensorProto.FLOAT,) * 2, (["N", 3], ["N", 3]), domain="ai.onnx.ml")
    model.graph.node[0].attribute.extend(onnx.helper.make_attribute(name, [1.0] * 3) for name in ("offset", "scale"))
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 3))
    assert model == onnx_file.load(saved(model, tmp_path)).model


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 50])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever is in the file."""
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=re.escape("model.onnx: ")):
        onnx_file.load(tmp_path / "model.onnx")
