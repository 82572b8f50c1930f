"""Every datatype through every door: the same tensor comes back with the same bytes, whichever way it went."""

import json
import struct
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.datatypes import DATATYPES, NUMPY_DTYPES, decode_bytes, encode_bytes
from tests.integration import models
from tests.integration.served import Served, serving, write_model

KINDS = {
    "BOOL": TensorProto.BOOL,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
    "BYTES": TensorProto.STRING,
} | {name: getattr(TensorProto, name) for name in DATATYPES if "INT" in name}
FIELDS = {"BOOL": "bool", "BYTES": "bytes", "FP32": "fp32", "FP64": "fp64", "INT64": "int64", "UINT64": "uint64"} | {
    name: "int" if name[0] == "I" else "uint" for name in DATATYPES if name.endswith(("INT8", "INT16", "INT32"))
}
HALVES = ("FP16", "BF16")
TEXTS = [b"", b"a", "ä".encode(), "日本語".encode(), "😀".encode(), b'"\\\n\t/', b"a\0", b"x" * 5000]
WITHOUT_BATCH = ("FP32", "BYTES")


def floats(dtype: Any) -> list[Any]:
    """Zeros, infinities, NaN, and the ends of what the type holds."""
    info = np.finfo(dtype)
    return [0.0, -0.0, 0.1, -1.5, np.nan, np.inf, -np.inf, info.max, info.min, info.tiny, -info.smallest_subnormal]


def values(datatype: str) -> NDArray[Any]:
    """What is hard to hand on, as a flat array of at least two elements."""
    dtype = NUMPY_DTYPES[datatype]
    if datatype == "BYTES":
        texts = np.empty(len(TEXTS), np.object_)
        texts[:] = TEXTS
        return texts
    if datatype == "BF16":
        return (np.array(floats(np.float32), np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if dtype.kind == "f":
        return np.array(floats(dtype), dtype)
    if datatype == "BOOL":
        return np.array([True, False, False, True])
    info = np.iinfo(dtype)
    return np.array([info.min, info.max, 0, 1, info.max - 1], dtype)


def arrays(datatype: str) -> list[NDArray[Any]]:
    """One row, the same in another order (a request that resembles it), several rows, and no elements at all."""
    flat = values(datatype)
    return [flat[None], flat[None, ::-1].copy(), np.stack([flat, flat[::-1]]), flat[:0].reshape(1, 0), flat[None]]


def wire(array: NDArray[Any]) -> bytes:
    return encode_bytes(array.ravel()) if array.dtype.hasobject else array.tobytes()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An identity of each datatype; of two also one without a batch axis."""
    root = tmp_path_factory.mktemp("models")
    for datatype in DATATYPES:
        write_model(root, datatype, config="max_batch_size: 4", model=models.identity(KINDS[datatype]))
    for datatype in WITHOUT_BATCH:
        write_model(root, f"{datatype}-alone", config="", model=models.identity(KINDS[datatype], ["A", "B"]))
    with serving(root) as server:
        yield server


Way = Callable[[Served, str, str, NDArray[Any]], tuple[list[int], bytes]]
"""Sends a tensor to a model and says shape and bytes of what comes back."""


def http(*, binary_in: bool, binary_out: bool) -> Way:
    """The protocol over HTTP; in JSON the numbers are what the text says, read by Python's own parser."""

    def ask(served: Served, model: str, datatype: str, array: NDArray[Any]) -> tuple[list[int], bytes]:
        content = wire(array) if binary_in else b""
        data = {"parameters": {"binary_data_size": len(content)}} if binary_in else {"data": plain(array)}
        document = {
            "inputs": [{"name": "x", "shape": array.shape, "datatype": datatype, **data}],
            "outputs": [{"name": "y", "parameters": {"binary_data": binary_out}}],
        }
        text = json.dumps(document).encode()
        request = urllib.request.Request(f"{served.http}/v2/models/{model}/infer", data=text + content)
        if binary_in:
            request.add_header("Inference-Header-Content-Length", str(len(text)))
        with urllib.request.urlopen(request) as answer:
            body, length = answer.read(), answer.headers["Inference-Header-Content-Length"]
        (output,) = json.loads(body[: int(length)] if length else body)["outputs"]
        assert ("y", datatype) == (output["name"], output["datatype"])
        return output["shape"], body[int(length) :] if length else parsed(output["data"], datatype)

    return ask


def v1(served: Served, model: str, datatype: str, array: NDArray[Any]) -> tuple[list[int], bytes]:
    """TensorFlow Serving's protocol, by columns."""
    nested = np.vectorize(bytes.decode, otypes=[object])(array) if datatype == "BYTES" and array.size else array
    text = json.dumps({"inputs": nested.tolist()}).encode()
    with urllib.request.urlopen(f"{served.http}/v1/models/{model}:predict", data=text) as answer:
        outputs = json.loads(answer.read())["outputs"]
    found = np.array(outputs, object)
    return list(found.shape), parsed(found.ravel().tolist(), datatype)


def typed(served: Served, model: str, datatype: str, array: NDArray[Any]) -> tuple[list[int], bytes]:
    """gRPC, element by element."""
    request = message(model, datatype, array)
    elements = array.ravel().tolist()
    getattr(request.inputs[0].contents, f"{FIELDS[datatype]}_contents").extend(elements)
    return call(served, request)


def raw(served: Served, model: str, datatype: str, array: NDArray[Any]) -> tuple[list[int], bytes]:
    """gRPC, raw."""
    request = message(model, datatype, array)
    request.raw_input_contents.append(wire(array))
    return call(served, request)


def message(model: str, datatype: str, array: NDArray[Any]) -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype=datatype, shape=array.shape)
    return request


def call(served: Served, request: service_pb2.ModelInferRequest) -> tuple[list[int], bytes]:
    with grpc.insecure_channel(served.grpc) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    return list(answer.outputs[0].shape), answer.raw_output_contents[0]


def plain(array: NDArray[Any]) -> list[Any]:
    return [one.decode() if isinstance(one, bytes) else one for one in array.ravel().tolist()]


def parsed(data: Sequence[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        return encode_bytes([one.encode() for one in data])
    return np.array(data, NUMPY_DTYPES[datatype]).tobytes()


JSON_WAYS: dict[str, Way] = {
    "JSON": http(binary_in=False, binary_out=False),
    "JSON, binary answer": http(binary_in=False, binary_out=True),
    "binary, JSON answer": http(binary_in=True, binary_out=False),
    "v1": v1,
    "typed gRPC": typed,
}
RAW_WAYS: dict[str, Way] = {"binary": http(binary_in=True, binary_out=True), "raw gRPC": raw}


@pytest.mark.parametrize("datatype", DATATYPES)
def test_all_doors_give_the_same_bytes(served: Served, datatype: str) -> None:
    """Halves go the ways that take bytes, all others every way: NaN and infinities, minus zero, subnormals, the ends of
    integers, empty texts and such of any script, rows, and tensors without elements.
    """
    ways = RAW_WAYS if datatype in HALVES else RAW_WAYS | JSON_WAYS
    for array in arrays(datatype):
        for name, way in ways.items():
            shape, content = way(served, datatype, datatype, array)
            assert (list(array.shape), wire(array)) == (shape, content), name


@pytest.mark.parametrize("datatype", WITHOUT_BATCH)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_models_without_a_batch_axis_take_tensors_without_elements(
    served: Served, datatype: str, shape: tuple[int, ...]
) -> None:
    """By every door, and the shape comes back."""
    array = values(datatype)[:0].reshape(shape)
    for name, way in (RAW_WAYS | JSON_WAYS).items():
        if name != "v1":  # whose shape is that of its lists, which can't say what follows an axis of none
            assert (list(shape), b"") == way(served, f"{datatype}-alone", datatype, array), name


@pytest.mark.parametrize("datatype", DATATYPES)
def test_a_body_that_is_one_tensor_comes_back_too(served: Served, datatype: str) -> None:
    """A row without any JSON around it; of BYTES it is one element, without its length."""
    array = values(datatype)
    body = TEXTS[3] if datatype == "BYTES" else wire(array)
    request = urllib.request.Request(f"{served.http}/v2/models/{datatype}/infer", data=body)
    request.add_header("Inference-Header-Content-Length", "0")
    with urllib.request.urlopen(request) as answer:
        found = answer.read()[int(answer.headers["Inference-Header-Content-Length"]) :]

    assert found == (encode_bytes([body]) if datatype == "BYTES" else body)


@pytest.mark.parametrize("datatype,pattern", [("FP16", "<H"), ("BF16", "<H"), ("FP32", "<I"), ("FP64", "<Q")])
def test_a_nan_keeps_what_it_carries_where_bytes_are_sent(served: Served, datatype: str, pattern: str) -> None:
    """In binary and raw: sign and payload, signalling ones included. JSON has one NaN for all of them."""
    exponents = {"FP16": 0x7C00, "BF16": 0x7F80, "FP32": 0x7F800000, "FP64": 0x7FF0000000000000}[datatype]
    sign = 1 << 8 * struct.calcsize(pattern) - 1
    content = b"".join([struct.pack(pattern, bits) for bits in (exponents | 1, sign | exponents | 1, exponents | 0x61)])
    array = np.frombuffer(content, NUMPY_DTYPES[datatype])[None]

    for name, way in RAW_WAYS.items():
        assert content == way(served, datatype, datatype, array)[1], name
    if datatype not in HALVES:
        answers = {JSON_WAYS[name](served, datatype, datatype, array)[1] for name in ("JSON", "binary, JSON answer")}
        assert {np.full(3, np.nan, NUMPY_DTYPES[datatype]).tobytes()} == answers


@pytest.mark.parametrize("datatype", HALVES)
def test_halves_are_refused_where_they_would_be_text(served: Served, datatype: str) -> None:
    """With advice to send or ask for bytes; v1 has none, so such a model can't be asked by it."""
    array = np.zeros((1, 2), NUMPY_DTYPES[datatype])
    for name in ("JSON", "JSON, binary answer", "binary, JSON answer", "v1"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            JSON_WAYS[name](served, datatype, datatype, array)
        with caught.value as answer:
            assert (400, True) == (answer.code, b"as binary data" in answer.read()), name
    request = message(datatype, datatype, array)
    request.inputs[0].contents.fp32_contents.extend([0, 0])
    with pytest.raises(grpc.RpcError, match="send raw_input_contents"):
        call(served, request)


def test_decoding_is_what_was_encoded() -> None:
    """The texts of this file are the ones that they are taken for."""
    assert TEXTS == decode_bytes(encode_bytes(TEXTS), len(TEXTS)).tolist()
