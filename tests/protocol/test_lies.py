"""Tensors that lie about themselves, and JSON out of all proportion: refused before anything is made for them."""

import json
import time
import tracemalloc
from collections.abc import Callable

import pytest
from tritonclient.grpc import service_pb2 as pb

from service.errors import InvalidRequest, TooLarge
from service.protocol.client_memory import ClientMemory
from service.protocol.grpc.infer_request import InferDecoder as GrpcDecoder
from service.protocol.grpc.wire import split
from service.protocol.http.head import Head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.http.v1_request import PredictDecoder
from service.protocol.limits import MIB, Limits
from tests.contract.double_engine import DoubleEngine

LIMITS = Limits()
HOME = ClientMemory(allowed=False)
SHAPES = (
    *([2**28], [2**31, 2**31], [2**62], [2**63 - 1, 2], [2**63 - 1] * 16, [3037000500, 3037000500], [0, 2**62]),
    *([-1, 4], [4, -(2**63)], [1] * 17, [1] * 10_000),
)
"""More elements than there are, more than 64 bits count, fewer than none, more axes than any tensor has."""
DATATYPES = ("FP32", "BOOL", "BYTES", "INT8", "FP64")


def as_json(shape: list[int], datatype: str) -> None:
    """Each of these decodes a request over FP32 data of two elements, named "lied", by one of the ways to send it."""
    entry = {"name": "lied", "shape": shape, "datatype": datatype, "data": [1, 2]}
    InferDecoder(DoubleEngine(), LIMITS, HOME).decode("m", None, Head(), json.dumps({"inputs": [entry]}).encode())


def as_binary(shape: list[int], datatype: str, size: int = 8) -> None:
    entry = {"name": "lied", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
    text = json.dumps({"inputs": [entry]}).encode()
    InferDecoder(DoubleEngine(), LIMITS, HOME).decode("m", None, Head(json_length=len(text)), text + bytes(8))


def as_raw_message(shape: list[int], datatype: str) -> None:
    message = pb.ModelInferRequest(raw_input_contents=[bytes(8)])
    message.inputs.add(name="lied", datatype=datatype, shape=shape)
    decode_message(message)


def as_typed_message(shape: list[int], datatype: str) -> None:
    message = pb.ModelInferRequest()
    message.inputs.add(name="lied", datatype=datatype, shape=shape).contents.fp32_contents.extend([1, 2])
    decode_message(message)


def decode_message(message: pb.ModelInferRequest) -> None:
    decoder, parts = GrpcDecoder(LIMITS, HOME), split(message.SerializeToString(), LIMITS.max_json_bytes)
    decoder.request(decoder.head(parts.head), parts, None)


WAYS = (as_json, as_binary, as_raw_message, as_typed_message)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape)[:40])
def test_a_shape_that_lies_is_refused_by_name(way: Callable[[list[int], str], None], shape: list[int]) -> None:
    """Of every datatype, and nothing of the size that it claims is ever made."""
    for datatype in DATATYPES:
        tracemalloc.start()
        try:
            with pytest.raises((InvalidRequest, TooLarge), match='input "lied"'):
                way(shape, datatype)
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("size", [9, 2**31, 2**63, 2**64 + 8, 10**30, 10**4000], ids=lambda size: str(size)[:40])
def test_a_size_that_lies_is_refused_by_name(size: int) -> None:
    """A tensor that would end behind the body, or behind anything, in a short text."""
    with pytest.raises(InvalidRequest, match='input "lied": binary_data_size is ') as caught:
        as_binary([2], "FP32", size)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\x05\x00\x00\x00"])
def test_a_text_that_ends_behind_the_others_is_refused_by_name(length: bytes) -> None:
    """The second element says that it is longer than what is left."""
    message = pb.ModelInferRequest(raw_input_contents=[b"\x01\x00\x00\x00a" + length + b"bc"])
    message.inputs.add(name="lied", datatype="BYTES", shape=[2])
    with pytest.raises(InvalidRequest, match='input "lied": element 1 says'):
        decode_message(message)


def test_no_request_asks_for_a_million_outputs() -> None:
    """Over HTTP as many as a body can name, over gRPC a million: refused, and no larger for it."""
    outputs = [{"name": str(number)} for number in range(200_000)]
    text = json.dumps({"inputs": [], "outputs": outputs}).encode()
    with pytest.raises(InvalidRequest, match="200000 outputs are asked for, at most 64"):
        InferDecoder(DoubleEngine(), LIMITS, HOME).decode("m", None, Head(), text)
    message = pb.ModelInferRequest(outputs=[pb.ModelInferRequest.InferRequestedOutputTensor()] * 1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="more than 1024 fields"):
            split(message.SerializeToString(), LIMITS.max_json_bytes)
        assert tracemalloc.get_traced_memory()[1] < 3 * MIB  # of which two are the message itself
    finally:
        tracemalloc.stop()


_FRAME = b'{"inputs":[{"name":"lied","shape":[1],"datatype":"FP32","data":%b}]}'
MONSTROUS = {
    "depth": b"[" * 1_000_000,
    "depth of objects": b'{"a":' * 200_000,
    "depth within data": _FRAME % (b"[" * 500_000 + b"]" * 500_000),
    "a number of a million digits": _FRAME % (b"9" * 1_000_000),
    "a fraction of a million digits": _FRAME % (b"[0." + b"1" * 1_000_000 + b"]" + b","),
    "an exponent of a million digits": _FRAME % (b"[1e" + b"9" * 1_000_000 + b"]"),
    "a number out of range, deep inside": _FRAME % (b"[" * 900 + b"1e999" + b"]" * 900),
    "a million numbers": _FRAME % (b"[" + b"1," * 500_000 + b"1]"),
    "a million texts": _FRAME % (b"[" + b'"",' * 300_000 + b'""]'),
    "bare tokens": _FRAME % (b"[" + b"NaN," * 250_000 + b"1]"),
    "bare tokens and depth": _FRAME % (b"[NaN," + b"[" * 1_000_000),
    "numbers of 4000 digits and a bare token": _FRAME % (b"[NaN," + (b"9" * 4000 + b",") * 250 + b"1]"),
    "bytes that aren't UTF-8": b'{"inputs": "' + b"\xff" * 1_000_000 + b'"}',
    "a byte order mark": b"\xef\xbb\xbf" + _FRAME % b"[1]",
    "escapes": b'{"inputs": "' + b"\\u0041" * 150_000,
    "ids": b'{"id":"a' * 100_000,
    "the same key": b"{" + b'"inputs":[],' * 80_000 + b'"inputs":1}',
}
SECONDS_OF_A_MIB = 0.25
"""Ten times what the slowest takes where nobody else computes."""


@pytest.mark.parametrize("text", MONSTROUS.values(), ids=MONSTROUS)
def test_monstrous_json_is_refused_in_no_time(text: bytes) -> None:
    """A short text, and as long as its size allows: nobody else is served meanwhile."""
    decoder = InferDecoder(DoubleEngine(), LIMITS, HOME)
    seconds = []
    for _ in range(3):  # a machine that others use stalls now and then
        before = time.thread_time()
        with pytest.raises((InvalidRequest, TooLarge)) as caught:
            decoder.decode("m", None, Head(), text)
        seconds.append(time.thread_time() - before)
        assert len(str(caught.value)) < 500
    assert min(seconds) < SECONDS_OF_A_MIB * max(len(text) / MIB, 0.1)


MANY = LIMITS.max_bytes_elements + 1


def as_binary_of_empty_texts(counts: list[int]) -> None:
    """Each of these sends inputs "a", "b", ... of so many empty elements each."""
    entries = [
        {"name": name, "shape": [count], "datatype": "BYTES", "parameters": {"binary_data_size": 4 * count}}
        for name, count in zip("abc", counts, strict=False)
    ]
    text = json.dumps({"inputs": entries}).encode()
    body = text + bytes(4 * sum(counts))
    InferDecoder(DoubleEngine(), LIMITS, HOME).decode("m", None, Head(json_length=len(text)), body)


def as_json_of_empty_texts(counts: list[int]) -> None:
    entries = [
        {"name": name, "shape": [count], "datatype": "BYTES", "data": [""] * count}
        for name, count in zip("abc", counts, strict=False)
    ]
    InferDecoder(DoubleEngine(), LIMITS, HOME).decode("m", None, Head(), json.dumps({"inputs": entries}).encode())


def as_message_of_empty_texts(counts: list[int]) -> None:
    message = pb.ModelInferRequest(raw_input_contents=[bytes(4 * count) for count in counts])
    for name, count in zip("abc", counts, strict=False):
        message.inputs.add(name=name, datatype="BYTES", shape=[count])
    decode_message(message)


@pytest.mark.parametrize("way", [as_binary_of_empty_texts, as_json_of_empty_texts, as_message_of_empty_texts])
def test_texts_of_a_request_are_bounded_in_number(way: Callable[[list[int]], None]) -> None:
    """Of all inputs together, before one of them is made: each would be an object."""
    way([LIMITS.max_bytes_elements])
    for counts, name in (([MANY], "a"), ([MANY // 2, MANY // 2 + 1], "b")):
        tracemalloc.start()
        try:
            with pytest.raises(
                TooLarge, match=f'input "{name}": {MANY} elements of BYTES in the request, at most 131072'
            ):
                way(counts)
            assert tracemalloc.get_traced_memory()[1] < 8 * MIB  # the request itself and its JSON
        finally:
            tracemalloc.stop()


def test_instances_that_are_texts_are_bounded_in_number() -> None:
    """The same at the other protocol."""
    with pytest.raises(TooLarge, match="131073 elements of BYTES"):
        PredictDecoder(LIMITS).decode(
            json.dumps({"instances": [""] * MANY}).encode(), DoubleEngine().metadata("echo", None)
        )
