"""How much tensor data an answer may hold as JSON."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service.errors import TooLarge
from service.messages import InferResponse, Tensor
from service.protocol.http.infer_response import encode_infer
from service.protocol.http.wanted import ALL_BINARY, ALL_JSON, Wanted


def response(*arrays: NDArray[np.float32]) -> InferResponse:
    """An answer whose outputs are called a, b and so on."""
    tensors = (Tensor(name=name, datatype="FP32", array=array) for name, array in zip("abc", arrays, strict=False))
    return InferResponse(model="m", version="1", outputs=tuple(tensors))


def text(*elements: bytes) -> InferResponse:
    """An answer with one BYTES output."""
    array = np.array(elements, dtype=np.object_)
    return InferResponse(model="m", version="1", outputs=(Tensor(name="t", datatype="BYTES", array=array),))


def test_the_outputs_in_json_share_one_bound() -> None:
    """What fits exactly passes; the first output with which it doesn't is named, with its size and the limit."""
    ten = np.zeros(10, np.float32)
    encode_infer(response(ten, ten), ALL_JSON, 80)

    with pytest.raises(TooLarge, match=r'output "b" has 40 bytes, .* may have 79 .* as binary data'):
        encode_infer(response(ten, ten), ALL_JSON, 79)


def test_binary_outputs_do_not_count() -> None:
    """Only what is written as JSON is bounded."""
    ten = np.zeros(10, np.float32)
    encode_infer(response(ten, ten), ALL_BINARY, 0)
    encode_infer(response(ten, ten), Wanted(names=("a", "b"), binary=frozenset("a")), 40)


def test_nothing_is_written_before_the_refusal() -> None:
    """An output of a tebibyte, which is a view of one number, is refused at once."""
    endless = np.broadcast_to(np.float32(1), (2**38,))
    with pytest.raises(TooLarge, match=str(2**40)):
        encode_infer(response(endless), ALL_JSON, 2**22)


def test_text_counts_with_its_lengths() -> None:
    """BYTES count as they would in binary form, so that empty elements aren't free."""
    encode_infer(text(b"ab", b""), ALL_JSON, 10)
    for elements in ((b"abc", b""), (b"",) * 3):
        with pytest.raises(TooLarge, match='output "t"'):
            encode_infer(text(*elements), ALL_JSON, 10)


def test_a_long_name_is_shortened() -> None:
    """The text of the refusal doesn't grow with an output's name."""
    tensor = Tensor(name="n" * 5000, datatype="FP32", array=np.zeros(1, np.float32))
    with pytest.raises(TooLarge) as raised:
        encode_infer(InferResponse(model="m", version="1", outputs=(tensor,)), ALL_JSON, 0)
    assert len(str(raised.value)) < 250
