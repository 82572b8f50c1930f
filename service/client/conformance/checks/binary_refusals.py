"""Binary tensor data that doesn't fit its description."""

import struct
from typing import Any

from service.client.conformance.check import extension
from service.client.conformance.expectation import applies
from service.client.conformance.question import HEADER_LENGTH, NOT_IN_JSON, binary_entry, flat, joined, raw_of
from service.client.conformance.specification import BINARY
from service.client.conformance.target import Target
from service.datatypes import BYTES

_NAME = "binary_tensor_data"


@extension("http.binary.length-beyond-body", BINARY, _NAME)
def length_beyond_body(target: Target) -> None:
    """Inference-Header-Content-Length is the length of the JSON, so it can't be larger than the body."""
    body = _body(target)
    target.expect_refused(body, "a length beyond the body", {HEADER_LENGTH: str(len(body) + 1)})


@extension("http.binary.length-not-a-number", BINARY, _NAME)
def length_not_a_number(target: Target) -> None:
    """Inference-Header-Content-Length is a number: a word is refused."""
    target.expect_refused(_body(target), f"{HEADER_LENGTH}: ten", {HEADER_LENGTH: "ten"})


@extension("http.binary.length-negative", BINARY, _NAME)
def length_negative(target: Target) -> None:
    """Inference-Header-Content-Length isn't below 0."""
    target.expect_refused(_body(target), f"{HEADER_LENGTH}: -1", {HEADER_LENGTH: "-1"})


@extension("http.binary.length-too-short", BINARY, _NAME)
def length_too_short(target: Target) -> None:
    """Inference-Header-Content-Length that ends within the JSON is refused: what is left of it isn't JSON."""
    body = _body(target)
    target.expect_refused(body, "a length that ends within the JSON", {HEADER_LENGTH: str(len(body) // 2)})


@extension("http.binary.bytes-left-over", BINARY, _NAME)
def bytes_left_over(target: Target) -> None:
    """The bytes behind the JSON are the tensors' and no more: others are refused."""
    document, raws = _request(target)
    body, headers = joined(document, *raws, b"\0\0\0")
    target.expect_refused(body, "3 bytes behind the last tensor", headers)


@extension("http.binary.bytes-missing", BINARY, _NAME)
def bytes_missing(target: Target) -> None:
    """The body must have as many bytes as the inputs' binary_data_size together."""
    document, raws = _request(target)
    body, headers = joined(document, *raws)
    target.expect_refused(body[:-1], "a byte less than binary_data_size", headers)


@extension("http.binary.size-and-shape", BINARY, _NAME)
def size_and_shape(target: Target) -> None:
    """binary_data_size must be what datatype and shape come to."""
    document, raws = _request(target)
    document["inputs"][-1]["parameters"]["binary_data_size"] += 1
    body, headers = joined(document, *raws, b"\0")
    target.expect_refused(body, "a byte more than shape and datatype say", headers)


@extension("http.binary.size-negative", BINARY, _NAME)
def size_negative(target: Target) -> None:
    """binary_data_size is a number of bytes: a negative one is refused."""
    document, raws = _request(target)
    document["inputs"][0]["parameters"]["binary_data_size"] = -8
    body, headers = joined(document, *raws)
    target.expect_refused(body, "binary_data_size: -8", headers)


@extension("http.binary.size-not-a-number", BINARY, _NAME)
def size_not_a_number(target: Target) -> None:
    """binary_data_size is an integer: text is refused."""
    document, raws = _request(target)
    document["inputs"][0]["parameters"]["binary_data_size"] = "8"
    body, headers = joined(document, *raws)
    target.expect_refused(body, 'binary_data_size: "8"', headers)


@extension("http.binary.size-and-data", BINARY, _NAME)
def size_and_data(target: Target) -> None:
    """An input has its values in `data` or as bytes, not both."""
    document = target.document()
    raw = raw_of(target.inputs[0])
    document["inputs"][0]["parameters"] = {"binary_data_size": len(raw)}
    body, headers = joined(document, raw)
    target.expect_refused(body, "data and binary_data_size", headers)


@extension("http.binary.size-without-bytes", BINARY, _NAME)
def size_without_bytes(target: Target) -> None:
    """Without Inference-Header-Content-Length the whole body is JSON, so an input can't have bytes."""
    document, _ = _request(target)
    target.expect_refused(joined(document)[0], "binary_data_size in a body that is all JSON")


@extension("http.binary.half-precision-in-json", BINARY, _NAME)
def half_precision_in_json(target: Target) -> None:
    """FP16 and BF16 are binary only: values in JSON are refused."""
    document, _ = _request(target)
    found = [index for index, one in enumerate(target.inputs) if one.datatype in NOT_IN_JSON]
    applies(found, "no input is FP16 or BF16")
    for index, tensor in enumerate(target.inputs):
        entry = document["inputs"][index]
        del entry["parameters"]
        entry["data"] = [1.0] * tensor.array.size if index in found else flat(tensor)
    target.expect_refused(joined(document)[0], "FP16 or BF16 in JSON")


@extension("http.binary.cut-text", BINARY, _NAME)
def cut_text(target: Target) -> None:
    """An element of BYTES can't be longer than the tensor that it is in."""
    found = [index for index, one in enumerate(target.inputs) if one.datatype == BYTES]
    applies(found, "no input is BYTES")
    document, raws = _request(target)
    raws[found[0]] = struct.pack("<I", 0x7FFFFFFF) + raws[found[0]][4:]
    body, headers = joined(document, *raws)
    target.expect_refused(body, "a BYTES element of 2147483647 bytes", headers)


def _body(target: Target) -> bytes:
    return joined(target.document())[0]


def _request(target: Target) -> tuple[dict[str, Any], list[bytes]]:
    """The request with all inputs as bytes, to be changed. Raises CheckSkipped where it isn't answered."""
    _ = target.baseline
    return target.extra(inputs=[binary_entry(one) for one in target.inputs]), [raw_of(one) for one in target.inputs]


CHECKS = (
    length_beyond_body,
    length_not_a_number,
    length_negative,
    length_too_short,
    bytes_left_over,
    bytes_missing,
    size_and_shape,
    size_negative,
    size_not_a_number,
    size_and_data,
    size_without_bytes,
    half_precision_in_json,
    cut_text,
)
