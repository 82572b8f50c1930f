"""Binary tensor data, of requests that the model takes."""

from service.client.conformance.check import extension
from service.client.conformance.checks.infer import without_elements
from service.client.conformance.expectation import applies, expect
from service.client.conformance.http_client import Answer
from service.client.conformance.question import HEADER_LENGTH, NOT_IN_JSON, in_binary, joined, raw_of
from service.client.conformance.reply import Reply, read_reply
from service.client.conformance.specification import BINARY
from service.client.conformance.target import Target
from service.datatypes import BYTES

_NAME = "binary_tensor_data"


@extension("http.binary.inputs", BINARY, _NAME)
def inputs(target: Target) -> None:
    """Inputs with binary_data_size come as bytes behind the JSON, in their order, and are the same tensors."""
    _ = target.baseline
    target.expect_answer(target.infer(*_all_binary(target)), "inputs as binary data")


@extension("http.binary.mixed-inputs", BINARY, _NAME)
def mixed_inputs(target: Target) -> None:
    """Some inputs may be binary and others JSON."""
    target.document()
    applies(len(target.inputs) > 1, "the model has one input")
    for binary in ({target.inputs[0].name}, {target.inputs[-1].name}):
        answer = target.infer(*in_binary(target.inputs, binary, **target.extra()))
        target.expect_answer(answer, f"{', '.join(binary)} as binary data, the others in JSON")


@extension("http.binary.outputs", BINARY, _NAME)
def outputs(target: Target) -> None:
    """With binary_data true an output comes as bytes behind the JSON, and binary_data_size says how many."""
    names = target.baseline.names
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in names]
    reply = target.expect_answer(target.infer(*target.plain(outputs=wanted)), "outputs as binary data")
    _expect_binary(reply, names, "binary_data for each output")


@extension("http.binary.mixed-outputs", BINARY, _NAME)
def mixed_outputs(target: Target) -> None:
    """Some outputs may be asked for as binary data and others as JSON."""
    names = [one.name for one in target.baseline.outputs if one.datatype not in NOT_IN_JSON]
    applies(len(names) > 1, "the model has one output that JSON can carry")
    wanted = [{"name": name, "parameters": {"binary_data": name == names[0]}} for name in names]
    reply = read_reply(target.infer(*target.plain(outputs=wanted)), "one output of several as binary data")
    _expect_binary(reply, names[:1], "binary_data for one output")


@extension("http.binary.default-of-outputs", BINARY, _NAME)
def default_of_outputs(target: Target) -> None:
    """With binary_data_output true all outputs are binary where the request lists none."""
    body, headers = target.plain(parameters={"binary_data_output": True}, outputs=[])
    names = target.baseline.names
    reply = target.expect_answer(target.infer(body.replace(b', "outputs": []', b""), headers), "binary_data_output")
    _expect_binary(reply, names, "binary_data_output")


@extension("http.binary.default-overridden", BINARY, _NAME)
def default_overridden(target: Target) -> None:
    """An output with binary_data false is JSON in spite of binary_data_output."""
    names = [one.name for one in target.baseline.outputs if one.datatype not in NOT_IN_JSON]
    applies(names, "no output of the model can be written in JSON")
    wanted = [{"name": names[0], "parameters": {"binary_data": False}}]
    asked = target.plain(parameters={"binary_data_output": True}, outputs=wanted)
    _expect_binary(read_reply(target.infer(*asked), "binary_data false"), [], "binary_data false")


@extension("http.binary.both-ways", BINARY, _NAME)
def both_ways(target: Target) -> None:
    """Inputs and outputs may both be binary; BYTES are lengths of 4 bytes, each with so many bytes behind it."""
    names = target.baseline.names
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in names]
    reply = target.expect_answer(target.infer(*_all_binary(target, outputs=wanted)), "binary data both ways")
    _expect_binary(reply, names, "binary data both ways")


@extension("http.binary.headers", BINARY, _NAME)
def headers(target: Target) -> None:
    """Inference-Header-Content-Length comes with an answer in binary data, whose Content-Length counts all of it."""
    names = target.baseline.names
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in names]
    answer = target.infer(*target.plain(outputs=wanted))
    length = answer.headers.get(HEADER_LENGTH.lower())
    expect(length is not None, f"expected {HEADER_LENGTH}, got the headers {sorted(answer.headers)}")
    found = answer.headers.get("content-length", str(len(answer.body)))
    expect(found == str(len(answer.body)), f"Content-Length is {found}, the body has {len(answer.body)} bytes")
    kind = answer.headers.get("content-type", "none")
    expect(kind == "application/octet-stream", f"expected application/octet-stream, got {kind}")


@extension("http.binary.not-asked-for", BINARY, _NAME)
def not_asked_for(target: Target) -> None:
    """Who doesn't ask for binary data gets JSON alone, without Inference-Header-Content-Length."""
    applies(not any(one.is_binary for one in target.baseline.outputs), "JSON can't carry the model's outputs")
    answer: Answer = target.infer(*target.plain())
    length = answer.headers.get(HEADER_LENGTH.lower())
    expect(length is None, f"expected no {HEADER_LENGTH}, got {length}")
    _expect_binary(read_reply(answer, "plain JSON"), [], "plain JSON")


@extension("http.binary.no-elements", BINARY, _NAME)
def no_elements(target: Target) -> None:
    """A tensor without elements has binary_data_size 0 and no bytes: what is taken in JSON is taken so too."""
    document = without_elements(target)
    expected = target.infer(*joined(document))
    applies(expected.status == 200, f"the model takes no tensor without elements ({expected.brief})")
    raws = []
    for entry, tensor in zip(document["inputs"], target.inputs, strict=True):
        raws.append(raw_of(tensor) if entry.pop("data") else b"")
        entry["parameters"] = {"binary_data_size": len(raws[-1])}
    found = read_reply(target.infer(*joined(document, *raws)), "no elements as binary data")
    names = read_reply(expected, "no elements in JSON").names
    expect(found.names == names, f"expected the outputs {names}, got {found.names}")


@extension("http.binary.raw-request", BINARY, _NAME)
def raw_request(target: Target) -> None:
    """With Inference-Header-Content-Length 0 the body is the bytes of the only input, and the shape is found out."""
    _ = target.baseline
    applies(len(target.inputs) == 1, "the model has several inputs")
    applies(not target.parameters, "the request needs parameters")
    tensor, (entry,) = target.inputs[0], target.described()["inputs"]
    batched = target.rows_allowed > 0
    inner = entry["shape"][1:] if batched else entry["shape"]
    applies(inner.count(-1) <= 1, "more than one dimension varies")
    applies(not batched or tensor.array.shape[:1] == (1,), "the request given isn't one row")
    raw = raw_of(tensor)
    if tensor.datatype == BYTES:
        applies(inner in ([1], [-1]) and tensor.array.size == 1, "raw requests of BYTES are of one element")
        raw = bytes(tensor.array.reshape(-1)[0])
    target.expect_answer(target.infer(raw, {HEADER_LENGTH: "0"}), "the bytes of the input alone")


def _all_binary(target: Target, **more: object) -> tuple[bytes, dict[str, str]]:
    return in_binary(target.inputs, {one.name for one in target.inputs}, **target.extra(**more))


def _expect_binary(reply: Reply, names: list[str], what: str) -> None:
    found = [one.name for one in reply.outputs if one.is_binary]
    expect(sorted(found) == sorted(names), f"{what}: expected {names or 'none'} as binary data, got {found or 'none'}")


CHECKS = (
    inputs,
    mixed_inputs,
    outputs,
    mixed_outputs,
    default_of_outputs,
    default_overridden,
    both_ways,
    headers,
    not_asked_for,
    no_elements,
    raw_request,
)
