"""What was encoded is decoded to the same."""

import json

from hypothesis import given
from hypothesis import strategies as st

from service.messages import InferResponse, Tensor
from service.protocol.client_memory import ClientMemory
from service.protocol.http.head import Head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.http.infer_response import encode_infer
from service.protocol.http.wanted import ALL_BINARY, ALL_JSON, Wanted
from service.protocol.limits import MIB, Limits
from tests.contract.double_engine import DoubleEngine
from tests.protocol.bodies import JSON_DATATYPES, binary_body, json_body, same, tensors

DECODER = InferDecoder(DoubleEngine(), Limits(), ClientMemory(allowed=False))


def as_request(json_length: int | None, body: bytes) -> tuple[Tensor, ...]:
    """The outputs of a response, read as the inputs of a request."""
    text = body if json_length is None else body[:json_length]
    document = json.loads(text)
    request = json.dumps({"inputs": document["outputs"]}).encode()
    if json_length is None:
        return DECODER.decode("m", None, Head(), request)[0].inputs
    return DECODER.decode("m", None, Head(json_length=len(request)), request + body[json_length:])[0].inputs


@given(tensors(JSON_DATATYPES), st.booleans())
def test_json_requests(tensor: Tensor, nested: bool) -> None:
    """A tensor in JSON, flat or nested, is decoded to itself, whatever its datatype."""
    request, wanted = DECODER.decode("m", "1", Head(), json_body(tensor, nested=nested))

    assert same(request.inputs[0], tensor)
    assert wanted is ALL_JSON


@given(tensors(name="a"), tensors(name="b"), tensors(JSON_DATATYPES, name="c"))
def test_binary_requests(one: Tensor, two: Tensor, three: Tensor) -> None:
    """Binary tensors are decoded to themselves, one after another, wherever they begin."""
    json_length, body = binary_body(one, two, three)
    request, _ = DECODER.decode("m", "1", Head(json_length=json_length), body)

    for decoded, tensor in zip(request.inputs, (one, two, three), strict=True):
        assert same(decoded, tensor)


@given(tensors(JSON_DATATYPES, name="a"), tensors(JSON_DATATYPES, name="b"))
def test_json_responses(one: Tensor, two: Tensor) -> None:
    """The JSON of a response holds exactly the tensors."""
    json_length, body = encode_infer(InferResponse(model="m", version="1", outputs=(one, two)), ALL_JSON, MIB)

    assert json_length is None
    for decoded, tensor in zip(as_request(None, body), (one, two), strict=True):
        assert same(decoded, tensor)


@given(tensors(name="a"), tensors(name="b"))
def test_binary_responses(one: Tensor, two: Tensor) -> None:
    """The binary data of a response holds exactly the tensors."""
    json_length, body = encode_infer(InferResponse(model="m", version="1", outputs=(one, two)), ALL_BINARY, MIB)

    for decoded, tensor in zip(as_request(json_length, body), (one, two), strict=True):
        assert same(decoded, tensor)


@given(tensors(name="a"), tensors(JSON_DATATYPES, name="b"))
def test_mixed_responses(one: Tensor, two: Tensor) -> None:
    """One output may be binary and another JSON."""
    wanted = Wanted(names=("a", "b"), binary=frozenset("a"))
    json_length, body = encode_infer(InferResponse(model="m", version="1", outputs=(one, two)), wanted, MIB)

    for decoded, tensor in zip(as_request(json_length, body), (one, two), strict=True):
        assert same(decoded, tensor)


@given(tensors())
def test_responses_share_no_memory(tensor: Tensor) -> None:
    """A body stays as it is when the array that it was made of is used for the next answer."""
    _, body = encode_infer(InferResponse(model="m", version="1", outputs=(tensor,)), ALL_BINARY, MIB)
    copy = bytes(bytearray(body))
    if tensor.array.dtype.kind != "O":
        tensor.array[...] = 1

    assert body == copy


@given(tensors())
def test_arrays_that_arent_contiguous(tensor: Tensor) -> None:
    """An output may be any view: transposed, or with steps."""
    view = Tensor(name="x", datatype=tensor.datatype, array=tensor.array.T[::2] if tensor.array.ndim else tensor.array)
    json_length, body = encode_infer(InferResponse(model="m", version="1", outputs=(view,)), ALL_BINARY, MIB)

    assert same(as_request(json_length, body)[0], view)
    if view.datatype in JSON_DATATYPES and view.datatype != "BYTES":
        assert same(
            as_request(*encode_infer(InferResponse(model="m", version="1", outputs=(view,)), ALL_JSON, MIB))[0], view
        )
