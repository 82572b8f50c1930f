"""Tensors that clients see in another shape than the model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.config import ModelConfig, complete, parse_config
from service.artifact.reshape import reshaped
from service.artifact.signature import Signature, TensorSpec
from service.errors import ArtifactError

STATE = 'state [ { input_name: "s" output_name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]'


def config(dims: str, shape: str, *, more: str = "max_batch_size: 4", role: str = "input") -> ModelConfig:
    tensor = f'{{ name: "x" data_type: TYPE_FP32 dims: [ {dims} ] reshape {{ shape: [ {shape} ] }} }}'
    return parse_config(f"{more} {role} [ {tensor} ]", name="m")


@pytest.mark.parametrize(
    "dims, shape, expected",
    [
        ("1", "", ()),
        ("6", "2, 3", (2, 3)),
        ("2, 4, -1, 6", "8, -1, 1, 6", (8, -1, 1, 6)),
        ("-1", "1, -1, 1", (1, -1, 1)),
        ("-1, 3, -1", "-1, 3, 1, -1", (-1, 3, 1, -1)),
    ],
)
@pytest.mark.parametrize("role", ["input", "output"])
def test_shapes_of_the_same_elements(role: str, dims: str, shape: str, expected: tuple[int, ...]) -> None:
    """Clients see `dims`, the model `reshape`; sizes that vary stand at corresponding places."""
    made = config(dims, shape, role=role)
    (spec,) = made.inputs or made.outputs

    assert expected == spec.model_shape
    assert dims == ", ".join(map(str, spec.shape))


@pytest.mark.parametrize(
    "dims, shape, text",
    [
        ("6", "2, 2", "is [2, 2], which hasn't the elements of dims [6]"),
        ("6", "", "is [], which hasn't the elements of dims [6]"),
        ("6", "-1", "is [-1], which hasn't the elements of dims [6]"),
        ("2, -1", "-1, 2", "is [-1, 2], which hasn't the elements of dims [2, -1]"),
        ("-1, -1", "-1", "is [-1], which hasn't the elements of dims [-1, -1]"),
        ("6", "6, 0", "is [6, 0], expected numbers above 0, or -1"),
        ("6", "-2, -3", "is [-2, -3], expected numbers above 0, or -1"),
    ],
)
def test_other_elements(dims: str, shape: str, text: str) -> None:
    """They are refused, as Triton refuses them."""
    with pytest.raises(ArtifactError) as caught:
        config(dims, shape)
    assert f'm/config.pbtxt: input "x": reshape: {text}' == str(caught.value)


@pytest.mark.parametrize(
    "more, text",
    [
        ("", "is empty, which needs a batch axis"),
        ('max_batch_size: 4 parameters { key: "hone.remote" value { string_value: "east" } }', "is for models that a"),
        (
            f"max_batch_size: 4 sequence_batching {{ {STATE} }}",
            "a state of a sequence has the model's own dims",
        ),
    ],
)
def test_where_there_is_none(more: str, text: str) -> None:
    """Scalars need a batch, and only what a runtime of ours computes is reshaped."""
    with pytest.raises(ArtifactError, match=f'output "x": reshape: {text}'):
        config("1", "", more=more, role="output")


def test_the_model_is_compared_with_its_own_shape() -> None:
    """And told to have the other one."""
    x = TensorSpec(name="x", datatype="FP32", dims=("N", 2, 3))
    signature = Signature(inputs=(x,), outputs=())

    assert (6,) == complete(config("6", "2, 3"), "m", signature).inputs[0].shape
    with pytest.raises(ArtifactError, match=r"config says shape \[-1, 3, 2\], the model has \[-1, 2, 3\]"):
        complete(config("6", "3, 2"), "m", signature)


@given(st.lists(st.integers(0, 4), min_size=2, max_size=2), st.booleans())
def test_elements_stay_in_their_order(sizes: list[int], batched: bool) -> None:
    """There and back again is where it was, for any sizes that vary, also none."""
    before, after = (2, 4, -1, 6, -1), (8, -1, 3, 2, -1)
    front = (3,) if batched else ()
    array = np.arange(48 * 3 * sizes[0] * sizes[1])[: 48 * sizes[0] * sizes[1] * (3 if batched else 1)]
    array = array.reshape(*front, 2, 4, sizes[0], 6, sizes[1])

    there = reshaped(array.shape, before, after)

    assert (*front, 8, sizes[0], 3, 2, sizes[1]) == there
    assert array.shape == reshaped(there, after, before)


@pytest.mark.parametrize("shape", [(2, 5), (5,), ()])
def test_another_shape_than_promised(shape: tuple[int, ...]) -> None:
    """It is named."""
    with pytest.raises(ValueError, match="has shape"):
        reshaped(shape, (2, 3), (6,))
