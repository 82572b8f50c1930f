"""A model is one file: wherever ONNX allows a tensor, it must not lie elsewhere."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from service.artifact.external_data import asks_for_other_files
from tests.integration.served import mlp

COMMITTED = Path(__file__).resolve().parents[2] / "models"


def external(name: str = "w") -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def only_location() -> TensorProto:
    return TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)


def plain() -> ModelProto:
    return onnx.load_from_string(mlp())


def in_initializer(model: ModelProto) -> None:
    model.graph.initializer.append(external())


def with_a_location_alone(model: ModelProto) -> None:
    model.graph.initializer.append(only_location())


def in_constant(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=external()))


def in_list_attribute(model: ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="many", type=onnx.AttributeProto.TENSORS)
    attribute.tensors.append(external())


def in_branch(model: ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [external()])
    model.graph.node.append(helper.make_node("If", ["a"], ["b"], then_branch=branch, else_branch=branch))


def in_sparse_initializer(model: ModelProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(external())


def in_sparse_attribute(model: ModelProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="sparse", type=onnx.AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.indices.CopyFrom(external())


def in_function(model: ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=external())
    model.functions.append(helper.make_function("local", "F", [], ["c"], [node], [helper.make_opsetid("", 18)]))


def in_training(model: ModelProto) -> None:
    model.training_info.add().initialization.initializer.append(external())


@pytest.mark.parametrize(
    "hide",
    [
        in_initializer,
        with_a_location_alone,
        in_constant,
        in_list_attribute,
        in_branch,
        in_sparse_initializer,
        in_sparse_attribute,
        in_function,
        in_training,
    ],
)
def test_a_tensor_in_another_file_is_found_wherever_it_hides(hide: Callable[[ModelProto], None]) -> None:
    """In initializers, attributes, branches, sparse tensors, functions and training graphs."""
    model = plain()
    assert not asks_for_other_files(model.SerializeToString())

    hide(model)

    assert asks_for_other_files(model.SerializeToString())


def test_the_committed_models_are_one_file_each() -> None:
    """Nothing that is published asks for other files."""
    models = list(COMMITTED.glob("*/*/model.onnx"))
    assert models
    assert not any(asks_for_other_files(path.read_bytes()) for path in models)


@given(st.data())
def test_a_spoilt_file_is_refused_or_read_but_never_crashes(data: st.DataObject) -> None:
    """Cut or changed bytes give an answer or ValueError, nothing else."""
    model = bytearray(mlp())
    for _ in range(data.draw(st.integers(1, 4))):
        model[data.draw(st.integers(0, 400))] = data.draw(st.integers(0, 255))
    model = model[: data.draw(st.integers(0, len(model)))]
    try:
        asks_for_other_files(bytes(model))
    except ValueError:
        return


def test_values_are_never_taken_for_structure() -> None:
    """Raw values that look like the markers of external data change nothing."""
    model = plain()
    values = np.frombuffer(external().SerializeToString().ljust(64, b"\0")[:64], np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "looks_like"))

    assert not asks_for_other_files(model.SerializeToString())
