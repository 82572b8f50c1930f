import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.config import ModelConfig, parse_config
from service.engine.classification import Classified, top_classes
from service.errors import HoneError, InvalidRequest
from service.messages import InferResponse, Tensor

OUTPUT = 'output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }, { name: "t" data_type: TYPE_STRING dims: [ 1 ] } ]'


class Kept:
    """A receiver that keeps what it is told."""

    def __init__(self) -> None:
        self.responses: list[InferResponse] = []
        self.endings: list[HoneError | None] = []

    def emit(self, response: InferResponse) -> None:
        self.responses.append(response)

    def finish(self, error: HoneError | None) -> None:
        self.endings.append(error)


def config(batch: int) -> ModelConfig:
    return parse_config(f'max_batch_size: {batch} backend: "onnxruntime" {OUTPUT}', name="m")


def answer(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", datatype: str = "FP32") -> InferResponse:
    return InferResponse(model="m", version="1", outputs=(Tensor(name="y", datatype=datatype, array=array),))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 15))
def test_the_highest_come_first_and_equals_in_order(values: list[int], most: int) -> None:
    """As sorting says, for every kind of number; never more than there are."""
    ranked = sorted(range(len(values)), key=lambda index: (-values[index], index))[:most]
    for dtype, form in ((np.float32, "{:f}"), (np.uint8, "{}"), (np.int64, "{}")):
        (classes,) = top_classes(np.array([values], dtype), most, ["zero", "one"])
        names = {0: ":zero", 1: ":one"}
        assert [f"{form.format(values[i])}:{i}{names.get(i, '')}".encode() for i in ranked] == classes.tolist()


def test_extremes_have_their_place() -> None:
    """Infinity is the highest, what is no number comes last, and the smallest integer is the lowest."""
    (floats,) = top_classes(np.array([[np.nan, 1, np.inf, -np.inf]], np.float32), 4, [])
    (integers,) = top_classes(np.array([[-128, 127, 0]], np.int8), 3, [])

    assert [b"inf:2", b"1.000000:1", b"-inf:3", b"nan:0"] == floats.tolist()
    assert [b"127:1", b"0:2", b"-128:0"] == integers.tolist()


def test_an_answer_has_a_row_of_classes_for_each_of_its_own() -> None:
    """With a batch axis for each row, without one for all of it; an output that nobody asked for so stays."""
    for batch, shape in ((8, (2, 2)), (0, (2,))):
        kept = Kept()
        Classified(kept, {"y": 2}, config(batch)).emit(answer(np.array([[1, 2], [4, 3]], np.float32)))
        (tensor,) = kept.responses[0].outputs
        assert ("BYTES", shape) == (tensor.datatype, tensor.array.shape)
        assert tensor.array.flat[0] == (b"2.000000:1" if batch else b"4.000000:2")
    kept = Kept()
    Classified(kept, {"other": 2}, config(8)).emit(answer(np.zeros((1, 4), np.float32)))
    assert "FP32" == kept.responses[0].outputs[0].datatype


def test_bf16_is_read_as_numbers() -> None:
    """Its arrays hold patterns, of which the negative ones would be the highest."""
    kept = Kept()
    patterns = (np.array([[-2.0, 0.5]], np.float32).view(np.uint32) >> 16).astype(np.uint16)
    Classified(kept, {"y": 1}, config(8)).emit(answer(patterns, "BF16"))

    assert [b"0.500000:1"] == kept.responses[0].outputs[0].array[0].tolist()


def test_texts_have_no_classes() -> None:
    """That is refused before anything is computed."""
    with pytest.raises(InvalidRequest, match='output "t" is BYTES'):
        Classified(Kept(), {"t": 1}, config(8))


def test_an_error_passes() -> None:
    """As it is."""
    kept, error = Kept(), InvalidRequest("no")
    Classified(kept, {"y": 1}, config(8)).finish(error)

    assert [error] == kept.endings


def test_classes_are_bounded() -> None:
    """Of all rows together; what is asked for beyond what there is costs nothing."""
    receiver = Classified(Kept(), {"y": 1_000_000}, config(8))
    receiver.emit(answer(np.zeros((2, 4), np.float32)))

    with pytest.raises(InvalidRequest, match='output "y": 131074 classes are asked for, at most 131072 are given'):
        receiver.emit(answer(np.zeros((2, 65537), np.float32)))
