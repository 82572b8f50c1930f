"""What a request must fulfil before it is queued."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.config import parse_config
from service.datatypes import NUMPY_DTYPES
from service.engine.contract import Contract
from service.errors import InvalidRequest
from service.messages import InferRequest, Tensor

CONFIG = """
backend: "onnxruntime"
max_batch_size: 4
input [
  { name: "a" data_type: TYPE_FP32 dims: [ 3 ] },
  { name: "b" data_type: TYPE_INT64 dims: [ -1, 2 ] }
]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }, { name: "z" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
UNBATCHED = """
backend: "onnxruntime"
input [ { name: "a" data_type: TYPE_FP32 dims: [ 2, -1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""


def tensor(name: str, shape: tuple[int, ...], dtype: str = "float32") -> Tensor:
    datatype = {"float32": "FP32", "int64": "INT64"}[dtype]
    return Tensor(name=name, datatype=datatype, array=np.zeros(shape, dtype))


def ask(*tensors: Tensor) -> InferRequest:
    return InferRequest(model="m", version=None, inputs=tensors)


A, B = tensor("a", (2, 3)), tensor("b", (2, 7, 2), "int64")


def test_inputs_come_out_in_the_models_order() -> None:
    """The order in which a client names its inputs doesn't matter."""
    arrays, rows = Contract(parse_config(CONFIG, name="m")).inputs(ask(B, A))

    assert arrays[0] is A.array
    assert arrays[1] is B.array
    assert 2 == rows


@pytest.mark.parametrize(
    "tensors, text",
    [
        ((A,), 'input "b" of model "m" is missing'),
        ((A, tensor("c", (2, 3))), 'no input "c"; it takes "a", "b"'),
        ((A, A), 'input "a" is given twice|"b" of model "m" is missing'),
        ((A, B, B), "given twice|3 inputs"),
        ((tensor("a", (2, 3), "int64"), B), 'input "a" is INT64, model "m" takes FP32'),
        ((tensor("a", (2, 4)), B), r'input "a" has shape \[2, 4\], model "m" takes \[-1, 3\]'),
        ((tensor("a", ()), B), r'input "a" has shape \[\]'),
        ((A, tensor("b", (2, 7, 3), "int64")), r"takes \[-1, -1, 2\]"),
        ((A, tensor("b", (3, 7, 2), "int64")), "3 rows, another input has 2"),
        ((tensor("a", (257, 3)), tensor("b", (257, 1, 2), "int64")), "257 rows, .* takes 1 to 256"),
        ((tensor("a", (0, 3)), tensor("b", (0, 1, 2), "int64")), "0 rows"),
        ((tensor("a", (0, 3)), tensor("b", (1, 1, 2), "int64")), "1 rows, another input has 0"),
        ((tensor("a", (1, 3)), tensor("b", (0, 1, 2), "int64")), "0 rows, another input has 1"),
    ],
)
def test_a_misfit_is_named(tensors: tuple[Tensor, ...], text: str) -> None:
    """The error names the tensor, what the model takes and what came."""
    with pytest.raises(InvalidRequest, match=text):
        Contract(parse_config(CONFIG, name="m")).inputs(ask(*tensors))


def test_without_a_batch_axis_shapes_are_taken_whole() -> None:
    """With max_batch_size 0 the dims are the full shape, and a request counts as one row."""
    contract = Contract(parse_config(UNBATCHED, name="m"))

    _, rows = contract.inputs(ask(tensor("a", (2, 9))))

    assert 1 == rows
    with pytest.raises(InvalidRequest, match=r"takes \[2, -1\]"):
        contract.inputs(ask(tensor("a", (3, 9))))


def test_outputs_are_those_asked_for() -> None:
    """All in the model's order when none is named, otherwise as named; an unknown one is refused."""
    contract = Contract(parse_config(CONFIG, name="m"))

    assert [0, 1] == [position for position, _ in contract.all_outputs]
    assert [1] == [position for position, _ in contract.outputs(("z",))]
    with pytest.raises(InvalidRequest, match='no output "q"; it has "y", "z"'):
        contract.outputs(("y", "q"))


TEXTS = """
max_batch_size: 4
input [ { name: "t" data_type: TYPE_STRING dims: [ 2 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }'


def texts(*elements: bytes) -> Tensor:
    array = np.empty(len(elements), np.object_)
    array[:] = elements
    return Tensor(name="t", datatype="BYTES", array=array.reshape(-1, 2))


@given(st.lists(st.one_of(st.binary(max_size=3), st.text(max_size=3).map(str.encode)), min_size=2, max_size=8))
def test_bytes_that_are_no_text_are_named(elements: list[bytes]) -> None:
    """Runtimes take strings as text: the first element that isn't UTF-8 by itself is named; a remote takes any."""
    elements = elements[: len(elements) // 2 * 2]
    request = ask(texts(*elements))
    wrong = [number for number, element in enumerate(elements) if not is_text(element)]
    Contract(parse_config(TEXTS + REMOTE, name="m")).inputs(request)
    contract = Contract(parse_config('backend: "onnxruntime"' + TEXTS, name="m"))
    if not wrong:
        contract.inputs(request)
        return
    with pytest.raises(InvalidRequest, match=f'"t": element {wrong[0]} isn\'t UTF-8 text, which model "m" takes'):
        contract.inputs(request)


def is_text(element: bytes) -> bool:
    try:
        element.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3), st.booleans())
def test_what_is_accepted_has_one_number_of_rows(first: int, second: int, length: int, turned: bool) -> None:
    """Whatever the order and the shapes: an accepted request has one number of rows, at least 1, in every input."""
    tensors = [tensor("a", (first, 3)), tensor("b", (second, length, 2), "int64")]
    try:
        arrays, rows = Contract(parse_config(CONFIG, name="m")).inputs(ask(*(tensors[::-1] if turned else tensors)))
    except InvalidRequest:
        assert first != second or not 1 <= first
        return
    assert rows >= 1
    assert [rows, rows] == [len(array) for array in arrays]


@pytest.mark.parametrize("datatype", ["FP16", "BF16", "FP32", "FP64"])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_where_the_model_says_so(datatype: str, value: float) -> None:
    """In every float type, in one element of many; the largest and the smallest numbers aren't meant."""
    kind = {"BF16": np.float32}.get(datatype, NUMPY_DTYPES[datatype])
    info = np.finfo(kind)
    array = np.array([[info.max, info.min, info.smallest_subnormal, -0.0, value, 1]], kind)
    config = f"""
    max_batch_size: 2 parameters {{ key: "hone.reject_non_finite" value {{ string_value: "true" }} }}
    input {{ name: "x" data_type: TYPE_{datatype} dims: [ -1 ] }}
    output {{ name: "y" data_type: TYPE_FP32 dims: [ 1 ] }}
    """
    contract = Contract(parse_config(config, name="m"))

    def ask_of(numbers: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> InferRequest:
        bits = (numbers.view(np.uint32) >> 16).astype(np.uint16) if datatype == "BF16" else numbers
        return ask(Tensor(name="x", datatype=datatype, array=bits))

    with pytest.raises(InvalidRequest, match='input "x" holds NaN or infinity'):
        contract.inputs(ask_of(array))
    for finite in (array[:, :4], array[:, :0]):
        contract.inputs(ask_of(finite))


def test_who_is_kept_whole_fills_one_batch_at_most() -> None:
    """Before that its parts may fill 64; what is refused then says why."""
    contract = Contract(parse_config(CONFIG, name="m"))
    full, more = ((tensor("a", (rows, 3)), tensor("b", (rows, 1, 2), "int64")) for rows in (4, 5))
    assert 5 == contract.inputs(ask(*more))[1]
    contract.keep_whole()
    assert 4 == contract.inputs(ask(*full))[1]
    with pytest.raises(
        InvalidRequest, match=r"5 rows, .* takes 1 to 4 in a request, no more than in a batch: its rows"
    ):
        contract.inputs(ask(*more))
