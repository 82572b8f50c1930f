"""Inputs of varying length: padded into buckets, told apart by a mask, and answered at their own length."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.artifact.config import ModelConfig, complete, parse_config
from service.artifact.signature import Signature, TensorSpec
from service.engine.padding import Padding
from service.errors import ArtifactError, InvalidRequest
from service.messages import InferRequest, Tensor

SIGNATURE = Signature(
    inputs=(
        TensorSpec(name="input_ids", datatype="INT64", dims=("N", "T")),
        TensorSpec(name="attention_mask", datatype="INT64", dims=("N", "T")),
    ),
    outputs=(
        TensorSpec(name="states", datatype="FP32", dims=("N", "T", 4)),
        TensorSpec(name="pooled", datatype="FP32", dims=("N", 4)),
    ),
)


def config(
    length: str = "axis=1 buckets=4,8 pad=7 mask=attention_mask", unpad: str = "axis=1 like=input_ids", **more: str
) -> ModelConfig:
    parameters = {"hone.length.input_ids": length, "hone.unpad.states": unpad, **more}
    written = "".join(
        f'parameters {{ key: "{key}" value {{ string_value: "{value}" }} }}' for key, value in parameters.items()
    )
    return complete(parse_config(f"max_batch_size: 8 {written}", name="m"), "m", SIGNATURE)


def ids(rows: int, length: int) -> NDArray[Any]:
    return np.arange(1, rows * length + 1).reshape(rows, length)


def ask(*tensors: tuple[str, NDArray[Any]]) -> InferRequest:
    made = tuple(Tensor(name=name, datatype="INT64", array=array) for name, array in tensors)
    return InferRequest(model="m", version=None, inputs=made)


@given(st.integers(1, 3), st.integers(1, 8))
def test_padded_and_cut_back_it_is_what_it_was(rows: int, length: int) -> None:
    """The input goes to the next bucket, the mask marks what is real, and outputs come back at the input's length."""
    padding = Padding(config())
    request = padding.complete(ask(("input_ids", ids(rows, length))))
    (padded, mask), had = padding.pad([tensor.array for tensor in request.inputs])

    bucket = 4 if length <= 4 else 8
    assert (rows, bucket) == padded.shape == mask.shape
    np.testing.assert_array_equal(ids(rows, length), padded[:, :length])
    assert (padded[:, length:] == 7).all()
    np.testing.assert_array_equal(mask, np.tile(np.arange(bucket) < length, (rows, 1)))
    assert (rows, length, 4) == padding.unpad(0, np.zeros((rows, bucket, 4)), had).shape
    assert (rows, 4) == padding.unpad(1, np.zeros((rows, 4)), had).shape


def test_a_mask_that_was_sent_is_kept() -> None:
    """Where a client masks positions of its own, padding only adds zeros behind them."""
    padding = Padding(config())
    request = padding.complete(ask(("input_ids", ids(1, 3)), ("attention_mask", np.array([[1, 0, 1]]))))
    (_, mask), _ = padding.pad([tensor.array for tensor in request.inputs])

    np.testing.assert_array_equal([[1, 0, 1, 0]], mask)


OPEN = """
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_INT64 dims: [ %s, -1 ] }, { name: "mask" data_type: TYPE_INT64 dims: [ %s, -1 ] } ]
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
parameters { key: "hone.length.x" value { string_value: "axis=2 buckets=4,8 mask=mask" } }
"""


@given(st.integers(1, 8), st.integers(0, 12))
def test_a_mask_is_as_long_as_its_input(length: int, masked: int) -> None:
    """Any other mask would call padding real, or leave positions without a word: the error names both lengths."""
    arrays = [ids(1, length), ids(1, masked)]
    if masked == length:
        Padding(config()).pad(arrays)
        return
    text = f'"attention_mask" has length {masked} along axis 1, "input_ids", whose mask it is, has length {length}'
    with pytest.raises(InvalidRequest, match=text):
        Padding(config()).pad(arrays)


@pytest.mark.parametrize(
    "dims, given, fits",
    [((-1, -1), 2, True), ((-1, -1), 1, False), ((3, 1), 1, True), ((2, -1), 2, True), ((2, -1), 3, False)],
)
def test_a_mask_has_the_shape_of_its_input_as_far_as_the_length(
    dims: tuple[int, int], given: int, *, fits: bool
) -> None:
    """Where its config leaves a dim open, that is; a mask of a fixed dim may be meant for all of the input's."""
    padding = Padding(parse_config(OPEN % dims, name="m"))
    arrays = [np.ones((2, 3 if dims[0] == 3 else 2, 4)), np.ones((2, given, 4))]
    if fits:
        padding.pad(arrays)
    else:
        with pytest.raises(InvalidRequest, match=f'"mask" has length {given} along axis 1, "x", .* has length 2'):
            padding.pad(arrays)


PAIR = """
backend: "onnxruntime"
max_batch_size: 8
input [
  { name: "a" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "b" data_type: TYPE_INT64 dims: [ -1 ] },
  { name: "mask" data_type: TYPE_INT64 dims: [ -1 ] }
]
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
parameters { key: "hone.length.a" value { string_value: "axis=1 buckets=4,8 mask=mask" } }
parameters { key: "hone.length.b" value { string_value: "axis=1 buckets=4,8 %s" } }
"""


def test_inputs_that_share_a_mask_share_a_length() -> None:
    """Two inputs may have lengths of their own, as those of an encoder and a decoder have; not with one mask."""
    arrays = [ids(1, 3), ids(1, 4), ids(1, 3)]

    assert [3, 4] == sorted(Padding(parse_config(PAIR % "", name="m")).pad(arrays)[1])
    with pytest.raises(InvalidRequest, match='"b", whose mask it is, has length 4'):
        Padding(parse_config(PAIR % "mask=mask", name="m")).pad(arrays)


def test_too_long_is_refused() -> None:
    """Beyond the largest bucket the model wasn't meant to be used: the error names the limit."""
    with pytest.raises(InvalidRequest, match='"input_ids" has length 9, the longest that this model takes is 8'):
        Padding(config()).pad([ids(1, 9), ids(1, 9)])


@pytest.mark.parametrize("length, bucket", [(1, 0), (4, 0), (5, 1), (8, 1)])
def test_buckets_are_numbered(length: int, bucket: int) -> None:
    """From the shortest on."""
    assert bucket == Padding(config()).bucket((length,))


def test_waste_is_the_share_of_padding() -> None:
    """Two rows of 3 in a bucket of 4 and one of 8 in a bucket of 8: 2 of 16 positions are padding."""
    assert 2 / 16 == pytest.approx(Padding(config()).waste([(2, (3, 3)), (1, (8, 8))]))


@pytest.mark.parametrize(
    "said, text",
    [
        ({"length": "axis=1"}, '"hone.length.input_ids": buckets=... is missing'),
        ({"length": "axis=1 bucket=4"}, 'unknown word "bucket", did you mean "buckets"'),
        ({"length": "axis=1 buckets=8,4"}, "buckets must rise"),
        ({"length": "axis=1 buckets=4,x"}, "buckets is '4,x', expected lengths"),
        ({"length": "axis=one buckets=4"}, "axis is 'one', expected a position"),
        ({"length": "axis=1 buckets=4 pad=none"}, "pad is 'none', expected a number"),
        ({"length": "axis=2 buckets=4"}, 'axis 2 of "input_ids" doesn\'t vary'),
        ({"length": "axis=1 buckets=4 mask=mask"}, 'there is no tensor "mask"'),
        ({"length": "axis=0 buckets=4"}, "axis 0 is that of the batch"),
        ({"length": "axis=1 buckets=4 mask=input_ids"}, "mask is the input itself"),
        ({"length": "axis=1 buckets=4 pad=0.5"}, "pad is 0.5, which INT64 can't hold"),
        ({"length": "axis=1 buckets=4 pad=1e30"}, "pad is 1e+30, which INT64 can't hold"),
        ({"length": "axis=1 buckets=4 pad=nan"}, "pad is nan, which INT64 can't hold"),
        ({"unpad": "axis=2 like=input_ids"}, 'axis 2 of "states" doesn\'t vary'),
        ({"unpad": "axis=1 like=attention_mask"}, '"attention_mask" isn\'t padded'),
        ({"hone.length.token": "axis=1 buckets=4"}, 'there is no tensor "token"'),
    ],
)
def test_a_wrong_parameter_refuses_the_model(said: dict[str, str], text: str) -> None:
    """The error names the key, and what it should hold."""
    with pytest.raises(ArtifactError) as caught:
        config(**said)
    assert text in str(caught.value)
