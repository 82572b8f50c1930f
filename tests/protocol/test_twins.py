"""JSON in which an object has a key twice."""

import pytest

from service.errors import InvalidRequest
from service.protocol.client_memory import ClientMemory
from service.protocol.http.head import Head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.http.json_object import object_of
from service.protocol.http.v1_request import PredictDecoder
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine

ENGINE = DoubleEngine()
LIMITS = Limits()
ENTRY = b'{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}'


def infer(text: bytes) -> None:
    InferDecoder(ENGINE, LIMITS, ClientMemory(allowed=False)).decode("affine", None, Head(), text)


def predict(text: bytes) -> None:
    PredictDecoder(LIMITS).decode(text, ENGINE.metadata("affine", None))


@pytest.mark.parametrize(
    "text,key",
    [
        (b'{"inputs":[],"inputs":[%s]}' % ENTRY, "inputs"),
        (b'{"inputs":[%s],"id":"a","id":"b"}' % ENTRY, "id"),
        (b'{"inputs":[%s],"i\\u0064":"a","id":"b"}' % ENTRY, "id"),
        (b'{"inputs":[%s]}' % ENTRY.replace(b'"data":', b'"data":[3,4],"data":'), "data"),
        (b'{"inputs":[%s]}' % ENTRY.replace(b'"shape":', b'"shape":[2],"shape":'), "shape"),
        (b'{"inputs":[%s],"outputs":[{"name":"y","name":"z"}]}' % ENTRY, "name"),
    ],
)
def test_a_request_in_which_a_key_stands_twice(text: bytes, key: str) -> None:
    """It is refused by the key's name, also where one of them is spelled with an escape."""
    with pytest.raises(InvalidRequest, match=f'^the JSON has "{key}" twice in one object$'):
        infer(text)


@pytest.mark.parametrize("name", ["inputs", "data", "name", "ids"])
def test_a_key_s_name_may_be_a_tensor_s_too(name: str) -> None:
    """What the text holds more often than keys can stand there is looked at, and taken."""
    infer(b'{"inputs":[%s],"id":"d\\u0061ta"}' % ENTRY.replace(b'"x"', f'"{name}"'.encode()))


@pytest.mark.parametrize(
    "text,key",
    [
        (b'{"instances":[[1]],"instances":[[2]]}', "instances"),
        (b'{"instances":[{"x":[1],"x":[2]}]}', "x"),
        (b'{"inputs":{"x":[[1]],"x":[[2]]}}', "x"),
    ],
)
def test_instances_in_which_a_key_stands_twice(text: bytes, key: str) -> None:
    """The same at the other protocol."""
    with pytest.raises(InvalidRequest, match=f'"{key}" twice'):
        predict(text)
    predict(b'{"instances":[{"x":[1]},{"x":[2]}]}')


def test_small_objects_in_which_a_key_stands_twice() -> None:
    """As management routes and texts have them, at any depth."""
    with pytest.raises(InvalidRequest, match='"b" twice'):
        object_of(b'{"a":[{"b":1,"b":2}],"b":3}')
    assert {"a": {"b": 1}, "b": 3} == object_of(b'{"a":{"b":1},"b":3}')
