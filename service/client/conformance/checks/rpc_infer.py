"""gRPC: inference of requests that the model takes, and streams of them."""

from typing import Any

from service.client.conformance.check import extension, recommended, required
from service.client.conformance.expectation import CheckFailed, CheckSkipped, applies, expect
from service.client.conformance.message import (
    CONTENTS,
    expect_message,
    parameter,
    raw_request,
    read_message,
    typed_request,
)
from service.client.conformance.question import NOT_IN_JSON
from service.client.conformance.rpc_refusal import RpcRefused
from service.client.conformance.specification import CLASSIFICATION, GRPC, PARAMETERS, TRITON_PROTO
from service.client.conformance.target import Target

_ID = "conformance-7"


@required("grpc.infer.raw", GRPC)
def raw(target: Target) -> None:
    """ModelInfer with raw_input_contents, one for each input in its order, is answered as over HTTP."""
    message = expect_message(target, raw_request(target), "raw contents")
    expect(message.model_name == target.model, f'expected model_name "{target.model}", got "{message.model_name}"')


@required("grpc.infer.typed", GRPC)
def typed(target: Target) -> None:
    """ModelInfer with contents, in the field that the datatype has, is answered as with raw contents."""
    applies(all(one.datatype in CONTENTS for one in target.inputs), "an input's datatype has no typed contents")
    expect_message(target, typed_request(target), "typed contents")


@required("grpc.infer.id", GRPC)
def identifier(target: Target) -> None:
    """An id that the request gives is returned in the response."""
    found = target.rpc.ask("ModelInfer", **raw_request(target, id=_ID)).id
    expect(found == _ID, f'expected the id "{_ID}", got "{found}"')


@required("grpc.infer.version", GRPC)
def version(target: Target) -> None:
    """A version in the request is the one that answers, and model_version says so."""
    fields = raw_request(target, model_version=target.version)
    found = target.rpc.ask("ModelInfer", **fields).model_version
    expect(found == target.version, f'expected model_version "{target.version}", got "{found}"')


@required("grpc.infer.requested-output", GRPC)
def requested_output(target: Target) -> None:
    """With outputs named in the request, just these are returned."""
    wanted = target.baseline.names[-1:]
    applies(wanted, "the model has no outputs")
    message = target.rpc.ask("ModelInfer", **raw_request(target, outputs=[{"name": wanted[0]}]))
    found = [one.name for one in read_message(message, "one output")]
    expect(found == wanted, f"expected the output {wanted[0]} alone, got {found}")


@required("grpc.infer.order-of-inputs", GRPC)
def order_of_inputs(target: Target) -> None:
    """Inputs are known by their names; raw contents are in the order of the inputs."""
    applies(len(target.inputs) > 1, "the model has one input")
    fields = raw_request(target)
    fields["inputs"].reverse()
    fields["raw_input_contents"].reverse()
    expect_message(target, fields, "inputs in another order")


@extension("grpc.infer.parameters", PARAMETERS, "parameters")
def parameters(target: Target) -> None:
    """A request may have parameters of its own, which don't change what is computed."""
    fields = raw_request(target)
    own = {"conformance_text": "a", "conformance_number": 42, "conformance_flag": True}
    fields["parameters"] |= {key: parameter(value) for key, value in own.items()}
    expect_message(target, fields, "parameters")


@extension("grpc.infer.classification", CLASSIFICATION, "classification")
def classification(target: Target) -> None:
    """An output with the parameter `classification` comes as BYTES, each value:index[:label]."""
    others = {"BYTES", "BOOL", *NOT_IN_JSON}
    found = [one for one in target.baseline.outputs if one.datatype not in others and one.shape[-1:] > (1,)]
    applies(found and len(found[0].shape) <= 2, "no output is a row of numbers")
    wanted = {"name": found[0].name, "parameters": {"classification": parameter(1)}}
    message = target.rpc.ask("ModelInfer", **raw_request(target, outputs=[wanted]))
    (output,) = read_message(message, "classification")
    expect(output.datatype == "BYTES", f"expected BYTES, got {output.datatype}")
    for text in output.values:
        expect(text.count(b":") >= 1, f"expected value:index[:label], got {text!r}")


@recommended("grpc.stream.answers", TRITON_PROTO)
def stream(target: Target) -> None:
    """ModelStreamInfer answers each request of the stream, with its id."""
    answers = _stream(target, raw_request(target, id="a"), raw_request(target, id="b"))
    for answer in answers:
        expect(not answer.error_message, f"expected an answer, got the error {answer.error_message!r}")
    found = [one.infer_response for one in answers if one.infer_response.outputs]
    expect(sorted(one.id for one in found) == ["a", "b"], f"expected the ids a and b, got {[one.id for one in found]}")
    for one in found:
        target.expect_outputs(read_message(one, "an answer of the stream"), "an answer of the stream")


@recommended("grpc.stream.errors", TRITON_PROTO)
def stream_errors(target: Target) -> None:
    """A request that is refused is answered in the stream with error_message, and the stream goes on."""
    refused = raw_request(target, id="refused")
    refused["raw_input_contents"] = [one + b"\0" for one in refused["raw_input_contents"]]
    answers = _stream(target, refused, raw_request(target, id="taken"))
    expect(any(one.error_message for one in answers), "bytes that don't fit the shape: expected an error_message")
    found = [one.infer_response.id for one in answers if not one.error_message and one.infer_response.outputs]
    expect(found == ["taken"], f"expected an answer to the request after it, got {found}")


def _stream(target: Target, *requests: dict[str, Any]) -> list[Any]:
    """The answers of a stream. Raises CheckSkipped where there are none of that kind."""
    decoupled = (target.config.get("model_transaction_policy") or {}).get("decoupled")
    applies(not decoupled, "the model is decoupled: a request may have any number of answers")
    try:
        return target.rpc.stream(*requests)
    except RpcRefused as error:
        if error.code == "UNIMPLEMENTED":
            raise CheckSkipped("the server has no ModelStreamInfer") from None
        raise CheckFailed(f"expected answers in the stream, the call ended with {error}") from None


CHECKS = (
    raw,
    typed,
    identifier,
    version,
    requested_output,
    order_of_inputs,
    parameters,
    classification,
    stream,
    stream_errors,
)
