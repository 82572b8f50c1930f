"""Shapes in graphs: what varies stays open, the rest is said once."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.networks.decoder import DecoderConfig
from training.networks.decoder import build as build_decoder
from training.networks.encoder import Encoder, EncoderConfig
from training.session import open_runner
from training.static_shapes import with_static_shapes
from training.stepwise import INPUTS, OUTPUTS, Stepwise, empty
from training.tracing import trace_calls

SIZES = {"batch": 3, "length": 5}


def graph(nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str], **constants: Sequence[int]) -> onnx.ModelProto:
    """A model of one input `x` of that shape, whose last node answers `y`."""
    made = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(one, np.int64), name) for name, one in constants.items()],
    )
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("somebody", 1)], ir_version=10
    )


def like(target: str, operator: str, *tail: int) -> list[onnx.NodeProto]:
    """Nodes that take the first axes of `x` for the target of an operator, those named in `target`."""
    nodes = [helper.make_node("Shape", ["x"], ["shape"])]
    nodes += [helper.make_node("Gather", ["shape", axis], [f"one_{axis}"]) for axis in target.split()]
    parts = [f"one_{axis}" for axis in target.split()]
    return [
        *nodes,
        helper.make_node("Concat", [*parts, *(f"tail_{one}" for one in tail)], ["target"], axis=0),
        helper.make_node(operator, ["x", "target"], ["y"]),
    ]


def answered(model: onnx.ModelProto, *shape: int) -> np.ndarray:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    found: np.ndarray = open_runner(model.SerializeToString())([x])[0]
    return found


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_a_reshape_keeps_what_varies() -> None:
    """Heads are told apart by a constant, at whatever batch and length."""
    plain = graph(like("a b", "Reshape", 2, 4), ["batch", "length", 8], a=[0], b=[1], tail_2=[2], tail_4=[4])
    static = with_static_shapes(plain)
    assert operators(static) == ["Reshape"]
    for shape in ((3, 5, 8), (1, 1, 8), (2, 7, 8)):
        assert np.array_equal(answered(plain, *shape), answered(static, *shape))


def test_a_zero_is_what_was_there_whatever_was_said_of_zeros() -> None:
    """torch.export says of every Reshape that 0 is a size."""
    plain = graph(like("a b", "Reshape", 2, 4), ["batch", "length", 8], a=[0], b=[1], tail_2=[2], tail_4=[4])
    plain.graph.node[-1].attribute.append(helper.make_attribute("allowzero", 1))
    static = with_static_shapes(plain)
    assert operators(static) == ["Reshape"]
    assert np.array_equal(answered(plain, 3, 5, 8), answered(static, 3, 5, 8))


def test_a_reshape_may_join_one_axis_that_varies_with_others() -> None:
    """What is left over is the one axis that isn't as it was."""
    plain = graph(like("a", "Reshape", -1), ["batch", "length", 4], a=[0], **{"tail_-1": [-1]})
    static = with_static_shapes(plain)
    assert operators(static) == ["Reshape"]
    assert np.array_equal(answered(plain, 3, 5, 4), answered(static, 3, 5, 4))


def test_axes_that_change_places_stay_as_they_are() -> None:
    """Two axes that aren't where they were can't be said by one constant."""
    plain = graph(like("b a", "Reshape", 4), ["batch", "length", 4], a=[0], b=[1], tail_4=[4])
    static = with_static_shapes(plain)
    assert operators(static) == operators(plain)
    assert np.array_equal(answered(plain, 3, 5, 4), answered(static, 3, 5, 4))


def test_an_expand_keeps_what_varies() -> None:
    """An axis of one is repeated by a constant, whatever the batch."""
    plain = graph(like("a", "Expand", 6, 4), ["batch", 1, 4], a=[0], tail_6=[6], tail_4=[4])
    static = with_static_shapes(plain)
    assert operators(static) == ["Expand"]
    for batch in (1, 3):
        assert np.array_equal(answered(plain, batch, 1, 4), answered(static, batch, 1, 4))


def test_what_cant_be_followed_is_as_it_was() -> None:
    """Of the answer of an operator that nobody knows no shape is told."""
    nodes = [helper.make_node("Odd", ["x"], ["odd"], domain="somebody"), *like("a b", "Reshape", 8)]
    nodes[-1].input[0] = "odd"
    plain = graph(nodes, ["batch", "length", 2, 4], a=[0], b=[1], tail_8=[8])
    assert operators(with_static_shapes(plain)) == operators(plain)


def test_what_only_graphs_inside_read_stays() -> None:
    """A branch reads tensors of the graph around it."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["doubled"], ["inside"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Add", ["x", "x"], ["doubled"]),
        helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["whether"], to=TensorProto.BOOL),
        helper.make_node("If", ["whether"], ["y"], then_branch=branch, else_branch=branch),
    ]
    plain = graph(nodes, ["batch", 4])
    assert np.array_equal(answered(plain, 3, 4), answered(with_static_shapes(plain), 3, 4))


@pytest.mark.parametrize("induction", [0, 1])
def test_a_step_of_a_decoder_works_out_no_shapes(induction: int) -> None:
    """But for how many tokens there are, at both its ends; the rest of its nodes compute."""
    config = DecoderConfig(
        layers=2, width=32, heads=4, cache_heads=2, induction_heads=induction, context=40, vocabulary=60
    )
    past, position = (torch.from_numpy(one) for one in empty(config, 2))
    axes = {name: {0: "batch"} for name in (*INPUTS, *OUTPUTS)}
    axes[INPUTS[0]][1] = axes[OUTPUTS[0]][1] = "tokens"
    model = trace_calls(
        Stepwise(build_decoder(config, seed=1)).eval(),
        (torch.ones(2, 3, dtype=torch.int64), past, position),
        inputs=INPUTS,
        outputs=OUTPUTS,
        axes=axes,
    )
    assert operators(model).count("Shape") == 2  # for the places of tokens, and for what is counted on


def test_an_encoder_asks_for_no_numbers_that_are_none() -> None:
    """What isn't visible is far below, not minus infinity, so that no row of scores needs to be looked at."""

    class Served(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Encoder(EncoderConfig(layers=1, width=16, heads=2, places="rotary", head="tokens", length=8))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.network(ids)
            return found

    lengthy = {0: "batch", 1: "length"}
    model = trace_calls(
        Served().eval(),
        (torch.ones(2, 3, dtype=torch.int64),),
        inputs=["ids"],
        outputs=["logits"],
        axes={"ids": lengthy, "logits": lengthy},
    )
    assert "IsNaN" not in operators(model)
    assert operators(model).count("Where") == 1
