"""The config of a model is its graph's, whatever it was made of."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2 as pb

from service.artifact.config import read_config
from service.errors import ArtifactError
from training.export import OUTPUT
from training.graph import Tensor, Tensors, tensors_in
from training.model_config import model_config, renamed

MODELS = Path(__file__).resolve().parents[2] / "models"
NAMES: dict[str, Any] = {"name": "mine", "family": "family", "variant": "variant"}


def parsed(text: str) -> Any:
    return text_format.Parse(text, pb.ModelConfig())


def tensor(name: str, *dims: int, datatype: str = "FP32") -> Tensor:
    return Tensor(name=name, datatype=datatype, dtype=np.dtype(np.float32), dims=dims)


def tensors(inputs: tuple[Tensor, ...], *outputs: Tensor) -> Tensors:
    batched = all(one.dims[:1] == (-1,) for one in (*inputs, *outputs))
    return Tensors(inputs=inputs, outputs=outputs, batched=batched)


def test_a_classifier_s_config_means_what_it_always_did() -> None:
    """That of the model in the repository was written by hand, as a text with gaps: they are equal."""
    *_, model = sorted((MODELS / "digits").glob("*/model.onnx"))
    found = model_config(
        tensors_in(model),
        name="digits",
        family="digits",
        variant="int8",
        labels=(OUTPUT,),
    )
    assert parsed((MODELS / "digits" / "config.pbtxt").read_text()) == parsed(found)


def test_what_varies_is_minus_one_and_what_has_no_axis_is_reshaped() -> None:
    """Triton's configs have at least one axis; the batch isn't among them."""
    found = parsed(model_config(tensors((tensor("x", -1, -1, 3, datatype="INT64"),), tensor("y", -1)), **NAMES))
    (taken,), (answered,) = found.input, found.output
    assert (pb.TYPE_INT64, [-1, 3], False) == (taken.data_type, list(taken.dims), taken.HasField("reshape"))
    assert (pb.TYPE_FP32, [1], []) == (answered.data_type, list(answered.dims), list(answered.reshape.shape))
    assert answered.HasField("reshape")
    assert found.HasField("dynamic_batching")
    assert 32 == found.max_batch_size


def test_a_model_without_a_batch_is_not_batched() -> None:
    """All of its axes are told, and nothing is joined."""
    found = parsed(model_config(tensors((tensor("x", 2, 3),), tensor("y", 4)), max_batch=8, threads=None, **NAMES))
    assert (0, [2, 3], [4]) == (found.max_batch_size, list(found.input[0].dims), list(found.output[0].dims))
    assert not found.HasField("dynamic_batching")
    assert {"hone.family", "hone.variant"} == set(found.parameters)


def test_a_number_without_an_axis_needs_a_batch() -> None:
    """No server takes a config that says such, so none is written."""
    with pytest.raises(ArtifactError, match=r"y: is one number without an axis, .*; reshape it to \[1\]"):
        model_config(tensors((tensor("x", 2, 3),), tensor("y")), **NAMES)


def test_states_go_round_and_begin_as_zeros() -> None:
    """They are neither inputs nor outputs for clients, and sequences aren't batched dynamically."""
    given = tensors((tensor("x", -1, 1), tensor("h", -1, 4)), tensor("y", -1, 2), tensor("h_out", -1, 4))
    found = parsed(model_config(given, states={"h": "h_out"}, **NAMES))
    assert (["x"], ["y"]) == ([one.name for one in found.input], [one.name for one in found.output])
    (state,) = found.sequence_batching.state
    assert ("h", "h_out", [4], True) == (
        state.input_name,
        state.output_name,
        list(state.dims),
        state.initial_state[0].zero_data,
    )
    assert not found.HasField("dynamic_batching")


def test_a_config_under_another_name_says_nothing_else_new() -> None:
    """Whatever is in it."""
    tensors = Tensors(inputs=(tensor("row", -1, 4),), outputs=(tensor(OUTPUT, -1, 3),), batched=True)
    made = {name: model_config(tensors, **{**NAMES, "name": name}, labels=(OUTPUT,)) for name in ("mine", "theirs")}
    assert parsed(made["theirs"]) == parsed(renamed(made["mine"], "theirs"))


def test_any_name_can_be_read_back(tmp_path: Path) -> None:
    """Quotes, backslashes and other alphabets stand in the text as the service reads them."""
    names = ('a"b', "a\\b", "größe", "入力:0")
    given = tensors(tuple(tensor(name, -1, 2) for name in names), tensor("y", -1))
    (tmp_path / "config.pbtxt").write_text(model_config(given, **NAMES), encoding="utf-8")
    assert list(names) == [one.name for one in read_config(tmp_path / "config.pbtxt", name="mine").inputs]


def test_what_no_config_can_describe_is_named(tmp_path: Path) -> None:
    """By the tensor, with what it is."""
    value = helper.make_tensor_value_info("odd", TensorProto.COMPLEX64, ["batch", 2])
    node = helper.make_node("Identity", ["odd"], ["same"])
    same = helper.make_tensor_value_info("same", TensorProto.COMPLEX64, ["batch", 2])
    onnx.save(helper.make_model(helper.make_graph([node], "graph", [value], [same])), tmp_path / "model.onnx")
    with pytest.raises(ArtifactError, match="odd: has the datatype complex64"):
        tensors_in(tmp_path / "model.onnx")
