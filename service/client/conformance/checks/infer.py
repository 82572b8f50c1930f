"""Inference in JSON, of requests that the model takes."""

import json
from typing import Any

from service.client.conformance.check import extension, recommended, required
from service.client.conformance.expectation import applies, expect
from service.client.conformance.output import Output
from service.client.conformance.question import in_json, nested
from service.client.conformance.reply import read_reply
from service.client.conformance.specification import CONFIGURATION, HTTP_SEMANTICS, REST, TENSORS, TRITON_HTTP
from service.client.conformance.target import Target
from service.messages import Tensor

_ID = "conformance-7/ä"
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "BOOL": (bool,),
    "BYTES": (bytes,),
    "FP32": (float, int),
    "FP64": (float, int),
}


@required("http.infer.answers", REST)
def answers(target: Target) -> None:
    """A request with all inputs is answered with 200, the model's name, and all outputs of the model."""
    reply = target.ask_plainly()
    name, version = reply.document.get("model_name"), reply.document.get("model_version", "")
    expect(name == target.model, f'expected model_name "{target.model}", got {name!r}')
    expect(isinstance(version, str), f"expected model_version to be a string, got {version!r}")
    expected = {entry["name"] for entry in target.metadata.get("outputs", [])} or set(reply.names)
    expect(set(reply.names) == expected, f"expected the outputs {sorted(expected)}, got {sorted(reply.names)}")


@required("http.infer.outputs-as-described", REST)
def outputs_as_described(target: Target) -> None:
    """Outputs have the datatype that the metadata says, and its shape, whatever stands for -1."""
    described = {entry["name"]: entry for entry in target.described()["outputs"]}
    for output in target.baseline.outputs:
        entry = described.get(output.name)
        if entry is None:
            continue
        told = f'output "{output.name}"'
        expect(output.datatype == entry["datatype"], f"{told}: expected {entry['datatype']}, got {output.datatype}")
        fits = len(output.shape) == len(entry["shape"]) and all(
            wanted in {-1, axis} for wanted, axis in zip(entry["shape"], output.shape, strict=True)
        )
        expect(fits, f"{told}: expected shape {entry['shape']}, got {list(output.shape)}")


@required("http.infer.elements", TENSORS)
def elements(target: Target) -> None:
    """Outputs have as many elements as their shape says, each of a JSON type that fits the datatype."""
    for output in _in_json(target):
        told = f'output "{output.name}"'
        count = len(output.values)
        expect(
            count == output.elements, f"{told}: shape {list(output.shape)} is {output.elements} elements, got {count}"
        )
        types = _PYTHON_TYPES.get(output.datatype, (int,))
        odd = [value for value in output.values if type(value) not in types]
        expect(not odd, f"{told}: expected {output.datatype}, got {odd[:1]}")


@recommended("http.infer.flat-answer", TRITON_HTTP)
def flat_answer(target: Target) -> None:
    """Data in an answer is flat, whatever it was in the request: clients reshape it themselves."""
    _in_json(target)
    for entry in target.baseline.document["outputs"]:
        nesting = [one for one in entry.get("data", []) if isinstance(one, list)]
        expect(not nesting, f'output "{entry["name"]}": expected flat data, got a list in it')


@required("http.infer.flat-and-nested", TENSORS)
def flat_and_nested(target: Target) -> None:
    """Data may be nested by its shape or flat, in row-major order, and is the same tensor."""
    document = target.document()
    for entry, tensor in zip(document["inputs"], target.inputs, strict=True):
        entry["data"] = nested(tensor)
    target.expect_answer(target.infer(_body(document)), "nested data")


@required("http.infer.id", REST)
def identifier(target: Target) -> None:
    """An id that the request gives is returned in the response."""
    _ = target.baseline
    reply = read_reply(target.infer(*target.plain(id=_ID)), "a request with an id")
    found = reply.document.get("id")
    expect(found == _ID, f"expected the id {_ID!r}, got {found!r}")


@recommended("http.infer.no-id", REST)
def no_identifier(target: Target) -> None:
    """Without an id in the request there is none in the response, or an empty one."""
    found = target.baseline.document.get("id")
    expect(not found, f"expected no id, got {found!r}")


@required("http.infer.requested-output", REST)
def requested_output(target: Target) -> None:
    """With outputs named in the request, just these are returned."""
    document = target.document()
    applies(target.baseline.outputs, "the model has no outputs")
    wanted = target.baseline.outputs[-1]
    applies(not wanted.is_binary, f'output "{wanted.name}" is {wanted.datatype}, which JSON can\'t carry')
    document["outputs"] = [{"name": wanted.name}]
    reply = read_reply(target.infer(_body(document)), "one output")
    expect(reply.names == [wanted.name], f"expected the output {wanted.name} alone, got {reply.names}")


@required("http.infer.order-of-inputs", REST)
def order_of_inputs(target: Target) -> None:
    """Inputs are known by their names, not by their places."""
    document = target.document()
    applies(len(document["inputs"]) > 1, "the model has one input")
    document["inputs"].reverse()
    target.expect_answer(target.infer(_body(document)), "inputs in another order")


@required("http.infer.version", REST)
def version(target: Target) -> None:
    """A version in the path is the one that answers, and model_version, if the server gives it, says so."""
    _ = target.baseline
    reply = read_reply(target.infer(*target.plain(), version=target.version), f"version {target.version}")
    found = reply.document.get("model_version", target.version)
    expect(found == target.version, f'expected model_version "{target.version}", got {found!r}')


@recommended("http.infer.any-content-type", TRITON_HTTP)
def any_content_type(target: Target) -> None:
    """What the body is doesn't depend on Content-Type: tritonclient sends none, and curl another."""
    _ = target.baseline
    body, headers = target.plain()
    target.expect_answer(target.http.post(target.path("/infer"), body, headers), "no Content-Type")
    for kind in ("application/octet-stream", "application/x-www-form-urlencoded"):
        target.expect_answer(target.infer(body, {**headers, "Content-Type": kind}), f"Content-Type {kind}")


@recommended("http.infer.content-type", HTTP_SEMANTICS)
def content_type(target: Target) -> None:
    """An answer in JSON says so: Content-Type is application/json."""
    applies(not any(one.is_binary for one in target.baseline.outputs), "JSON can't carry the model's outputs")
    found = target.infer(*target.plain()).headers.get("content-type", "none")
    expect(found.startswith("application/json"), f"expected application/json, got {found}")


@extension("http.infer.batch", CONFIGURATION, "model_configuration")
def batch(target: Target) -> None:
    """A batch within max_batch_size is one request, and each row is answered as it is alone."""
    document = target.document()
    applies(target.rows_allowed >= 2, "the model takes no batches")
    applies(all(one.array.ndim and one.array.shape[0] == 1 for one in target.inputs), "the inputs given aren't one row")
    double = [Tensor(name=one.name, datatype=one.datatype, array=one.array.repeat(2, axis=0)) for one in target.inputs]
    document.pop("inputs")
    reply = read_reply(target.infer(in_json(double, **document)), "two rows")
    halves = tuple(_first_row(output) for output in reply.outputs)
    target.expect_outputs(halves, "the first of two rows")


@recommended("http.infer.no-elements", TENSORS)
def no_elements(target: Target) -> None:
    """A tensor without elements is legal: it is computed, or refused with an error object, and nothing breaks."""
    document = without_elements(target)
    answer = target.infer(_body(document))
    if answer.status == 200:
        for output in read_reply(answer, "no elements").outputs:
            expect(len(output.values) == output.elements, f'output "{output.name}" has elements that its shape has not')
    else:
        is_error = 400 <= answer.status < 500 and isinstance(answer.json(), dict) and "error" in answer.json()
        expect(is_error, f'no elements: expected 200, or 4xx with "error", got {answer.brief}')


def without_elements(target: Target) -> dict[str, Any]:
    """The request with the last variable axis of each input at zero. Raises CheckSkipped where no input has one."""
    document = target.document()
    shapes = {entry["name"]: entry["shape"] for entry in target.described()["inputs"]}
    varying = [entry for entry in document["inputs"] if -1 in shapes.get(entry["name"], [])]
    applies(varying, "no input has a variable axis")
    for entry in varying:
        axis = max(axis for axis, size in enumerate(shapes[entry["name"]]) if size == -1)
        entry["shape"][axis], entry["data"] = 0, []
    return document


def _in_json(target: Target) -> list[Output]:
    found = [output for output in target.baseline.outputs if not output.is_binary]
    applies(found, "no output of the model can be written in JSON")
    return found


def _first_row(output: Output) -> Output:
    expect(
        output.shape[:1] == (2,), f'two rows: output "{output.name}" has shape {list(output.shape)}, expected [2, ...]'
    )
    count = output.elements // 2
    return Output(
        name=output.name, datatype=output.datatype, shape=(1, *output.shape[1:]), values=output.values[:count]
    )


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


CHECKS = (
    answers,
    outputs_as_described,
    elements,
    flat_answer,
    flat_and_nested,
    identifier,
    no_identifier,
    requested_output,
    order_of_inputs,
    version,
    any_content_type,
    content_type,
    batch,
    no_elements,
)
