"""What was kept of earlier requests never changes what a request is taken for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import HoneError
from service.messages import InferRequest, Tensor
from service.protocol.client_memory import ClientMemory
from service.protocol.http.head import Head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.http.wanted import Wanted
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine
from tests.protocol.bodies import JSON_DATATYPES, binary_body, json_body, same, small, tensors

PLAIN = b'{"inputs":[{"name":"x","shape":[2],"datatype":"%b","data":%b}]}'
HIDDEN = b'{"foo":{"data":[1,2]},"inputs":[{"name":"x","shape":[2],"datatype":"FP32","d\\u0061ta":[1,2]}]}'
TWICE = b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}],"parameters":{"data":[3]}}'
TWO_IDS = b'{"id":"a","inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}],"id":"a"}'
NO_ID = b'{"parameters":{"id":"a"},"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]}]}'
NOWHERE = (
    b'{"foo":{"data":[[1]]},"inputs":[{"name":"x","shape":[0],"datatype":"FP32","parameters":{"binary_data_size":0}}]}'
)
TRICKS = (b"[1,2", b"[1,2]]", b"[true,1]", b"[null,1]", b"[[1],2]", b"[1,2,3]", b"[]", b"[1,1e999]", b'["1",2]', b"{}")
MORE = (
    b"[1.5,2]",
    b"[NaN,1]",
    b"[1,99999999999999999999]",
    b"[-1,300]",
    b'[1,2],"data":[3,4]',
    b"[1] ,2]",
    b" [1 , 2]",
)


def outcome(decoder: InferDecoder, body: bytes, json_length: int | None = None) -> tuple[InferRequest, Wanted] | str:
    """What a decoder makes of a body, or what it says against it."""
    try:
        return decoder.decode("m", None, Head(json_length=json_length), body)
    except HoneError as error:
        return f"{error.reason}: {error}"


def fresh() -> InferDecoder:
    """A decoder that has seen nothing yet."""
    return InferDecoder(DoubleEngine(), Limits(), ClientMemory(allowed=False))


def agree(one: object, other: object) -> bool:
    """Whether two outcomes are the same request, bit by bit, or the same error."""
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    assert isinstance(one, tuple)
    assert isinstance(other, tuple)
    (first, wanted), (second, also) = one, other
    rest = ("model", "version", "outputs", "id", "parameters", "timeout", "priority")
    return (
        wanted == also
        and all(getattr(first, name) == getattr(second, name) for name in rest)
        and all(same(a, b) for a, b in zip(first.inputs, second.inputs, strict=True))
    )


@pytest.mark.parametrize("datatype", [b"FP32", b"INT8", b"UINT64", b"BOOL", b"BYTES", b"FP16"])
@pytest.mark.parametrize("data", [b"[1,2]", *TRICKS, *MORE])
def test_other_data_in_a_known_frame(datatype: bytes, data: bytes) -> None:
    """After a request that was good, whatever stands in place of its numbers is taken as a fresh decoder takes it."""
    used = fresh()
    outcome(used, PLAIN % (datatype, b"[1,2]"))
    body = PLAIN % (datatype, data)

    assert agree(outcome(fresh(), body), outcome(used, body))
    assert agree(outcome(fresh(), body), outcome(used, body))  # what it has learnt from this one, too


@pytest.mark.parametrize("body", [HIDDEN, TWICE])
def test_numbers_that_are_not_the_tensors(body: bytes) -> None:
    """A list that only looks like the tensor's data isn't taken for it."""
    used = fresh()
    outcome(used, body)
    other = body.replace(b"[1,2]", b"[8,9]", 1)

    assert agree(outcome(fresh(), other), outcome(used, other))


def test_numbers_of_nobody() -> None:
    """A list that is no input's says nothing of one, though that has no numbers either."""
    used = fresh()
    assert not isinstance(outcome(used, NOWHERE), str)
    cut = NOWHERE.replace(b"[[1]]", b"[]]")

    assert agree(outcome(fresh(), cut), outcome(used, cut))


@pytest.mark.parametrize("body", [TWO_IDS, NO_ID])
def test_an_id_that_is_not_the_request_s(body: bytes) -> None:
    """What only looks like the request's id isn't taken for it."""
    used = fresh()
    outcome(used, body)
    other = body.replace(b'"a"', b'"b"', 1)

    assert agree(outcome(fresh(), other), outcome(used, other))


@pytest.mark.parametrize("text", ["", "7", "a b", 'quo"te', "\\", "\u00fc", "\n"])
def test_another_id(text: str) -> None:
    """Each request has its own id, whatever it was before."""
    used = fresh()
    for one in ("first", text, "last"):
        body = json_body(small(), id=one)
        assert agree(outcome(fresh(), body), outcome(used, body))


@pytest.mark.parametrize("first", ["", "one"])
def test_the_id_of_something_else(first: str) -> None:
    """A parameter of that name isn't the request's id, whatever it was before."""
    used = fresh()
    for one in (first, "other", "last"):
        body = json_body(small(), parameters={"id": one})
        compact = json.dumps(json.loads(body), separators=(",", ":")).encode()
        assert agree(outcome(fresh(), body), outcome(used, body))
        assert agree(outcome(fresh(), compact), outcome(used, compact))


@given(
    st.lists(tensors(JSON_DATATYPES), min_size=1, max_size=3),
    st.sampled_from([{}, {"id": "7"}, {"parameters": {"timeout": 5000, "priority": 2}}, {"outputs": [{"name": "y"}]}]),
    st.booleans(),
)
def test_any_json_request_after_any_other(sent: list[Tensor], more: dict[str, Any], nested: bool) -> None:
    """A decoder that has seen others takes a JSON request as one that hasn't."""
    used = fresh()
    for tensor in sent:
        body = json_body(tensor, nested=nested, **more)
        compact = json.dumps(json.loads(body), separators=(",", ":")).encode()
        for text in (body, compact):
            assert agree(outcome(fresh(), text), outcome(used, text))
            assert agree(outcome(fresh(), text), outcome(used, text))


@given(tensors(name="a"), tensors(name="b"), st.binary(max_size=3))
def test_binary_after_binary(one: Tensor, two: Tensor, extra: bytes) -> None:
    """The same JSON with other bytes behind it, as many or not, is read as if for the first time."""
    used = fresh()
    json_length, body = binary_body(one, two)
    outcome(used, body, json_length)
    turned = body[:json_length] + body[json_length:][::-1] + extra

    assert agree(outcome(fresh(), turned, json_length), outcome(used, turned, json_length))
