"""Whatever a body holds, the answer is a refusal in one line, or a request that is sound."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from service.datatypes import NUMPY_DTYPES
from service.errors import HoneError
from service.messages import Tensor
from service.protocol.client_memory import ClientMemory
from service.protocol.http.head import Head, read_head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.limits import Limits
from service.protocol.status import http_status
from tests.contract.double_engine import DoubleEngine
from tests.protocol.bodies import binary_body, check_request, json_body, tensors

DECODER = InferDecoder(DoubleEngine(), Limits(max_json_bytes=100_000), ClientMemory(allowed=False))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
KEYS = st.sampled_from(
    (
        *("inputs", "outputs", "parameters", "id", "name", "shape", "datatype", "data", "binary_data_size", "other"),
        *("binary_data", "timeout", "shared_memory_region", "classification", "binary_data_output", "triton_x"),
    )
)


def survive(head: Head, body: bytes) -> None:
    """Decode; a refusal must be a client's error, and what is accepted must hold together."""
    with refusals():
        check_request(*DECODER.decode("affine", None, head, body))


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Only a client's error may be raised, in one line."""
    refused = None
    try:
        yield
    except HoneError as error:
        refused = error
    if refused is not None:
        assert http_status(refused) in {400, 413, 501}
        assert "\n" not in str(refused)
        assert 0 < len(str(refused)) < 500


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """A body with a few bytes changed, left out, doubled or put in."""
    data = bytearray(body)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 6)))
        token = st.sampled_from(
            [b"", b'"', b"[", b"]", b"{", b"}", b",", b"-", b"1e999", b"NaN", b"null", b"\\u", b"\xff"]
        )
        data[start:end] = draw(token | st.binary(max_size=3) | st.just(bytes(data[start:end] * 2)))
    return bytes(data)


@given(st.data(), tensors(name="a"), tensors(name="b"))
def test_mutated_binary_bodies(data: st.DataObject, one: Tensor, two: Tensor) -> None:
    """A damaged binary request, with a right or wrong length of its JSON, breaks nothing."""
    length, body = binary_body(one, two, outputs=[{"name": "y", "parameters": {"binary_data": True}}])
    body = data.draw(mutated(body))

    survive(Head(json_length=length + data.draw(st.integers(-3, 3))), body)
    survive(Head(json_length=data.draw(st.integers(0, len(body) + 5))), body)


@given(st.data(), tensors(tuple(name for name in NUMPY_DTYPES if name not in {"FP16", "BF16", "BYTES"})), st.booleans())
def test_mutated_json_bodies(data: st.DataObject, tensor: Tensor, nested: bool) -> None:
    """A damaged JSON request breaks nothing."""
    body = json_body(tensor, nested=nested, id="7", parameters={"timeout": 5})

    survive(Head(), data.draw(mutated(body)))


@given(
    st.dictionaries(KEYS, VALUES, max_size=3),
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.dictionaries(KEYS, VALUES, max_size=3),
)
def test_unexpected_values(top: dict[str, Any], entry: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Any JSON value in any place breaks nothing."""
    sound = {"name": "x", "shape": [1], "datatype": "FP32", "data": [1.0], "parameters": parameters}
    output = {"name": "y", "parameters": parameters}
    document = {"inputs": [sound | entry], "outputs": [output | entry], "parameters": parameters} | top

    survive(Head(), json.dumps(document).encode())


@given(VALUES, st.sampled_from(list(NUMPY_DTYPES)), st.lists(st.integers(-2, 2**65) | st.integers(0, 3), max_size=5))
@example([float("nan"), 2**70], "FP64", [2])
@example([10**400], "FP64", [1])
@example(["\ud800"], "BYTES", [1])
def test_any_data_of_any_shape(data: Any, datatype: str, shape: list[int]) -> None:
    """Any data under any datatype and shape breaks nothing."""
    entry = {"name": "x", "shape": shape, "datatype": datatype, "data": data}

    survive(Head(), json.dumps({"inputs": [entry]}).encode())


@given(st.binary(max_size=64))
def test_any_bytes(body: bytes) -> None:
    """Bytes that mean nothing break nothing."""
    for head in (Head(), Head(json_length=0), Head(json_length=len(body) // 2), Head(json_length=len(body))):
        survive(head, body)


@given(
    st.dictionaries(
        st.sampled_from([b"inference-header-content-length", b"x-request-timeout-ms", b"content-encoding"]),
        st.binary(max_size=8)
        | st.integers().map(lambda number: b"%d" % number)
        | st.sampled_from([b"1e3", b"inf", b"\xb2"]),
    )
)
def test_any_headers(fields: dict[bytes, bytes]) -> None:
    """Any value of the special headers is understood or refused."""
    with refusals():
        head = read_head(fields)
        assert head.timeout is None or 0 < head.timeout < float("inf")
        assert head.json_length is None or head.json_length >= 0
