"""gRPC: inference of requests that can't be answered."""

from service.client.conformance.check import recommended, required
from service.client.conformance.expectation import applies, expect
from service.client.conformance.message import (
    CONTENTS,
    expect_message,
    expect_message_refused,
    raw_request,
    typed_request,
)
from service.client.conformance.rpc_refusal import expect_rpc_refused
from service.client.conformance.specification import GRPC, TRITON, TRITON_PROTO
from service.client.conformance.target import NO_VERSION, NOBODY, Target


@required("grpc.infer.unknown-model", GRPC)
def unknown_model(target: Target) -> None:
    """Errors are indicated by the status of the call: here, of a model that doesn't exist."""
    expect_message_refused(target, raw_request(target, model_name=NOBODY), "a model that doesn't exist")


@recommended("grpc.infer.not-found", TRITON)
def not_found(target: Target) -> None:
    """A model that doesn't exist is NOT_FOUND."""
    expect_message_refused(target, raw_request(target, model_name=NOBODY), "a model that doesn't exist", "NOT_FOUND")


@required("grpc.infer.unknown-version", GRPC)
def unknown_version(target: Target) -> None:
    """A version that the model hasn't can't be asked."""
    _ = target.version
    expect_message_refused(target, raw_request(target, model_version=NO_VERSION), "a version that doesn't exist")


@required("grpc.infer.missing-input", GRPC)
def missing_input(target: Target) -> None:
    """All inputs that the metadata lists are required by the model."""
    optional = {one.get("name") for one in target.config.get("input", []) if one.get("optional")}
    fields = raw_request(target)
    applies(target.inputs[-1].name not in optional, "the last input is optional")
    fields["inputs"].pop()
    fields["raw_input_contents"].pop()
    expect_message_refused(target, fields, f'without the input "{target.inputs[-1].name}"')


@required("grpc.infer.unknown-output", GRPC)
def unknown_output(target: Target) -> None:
    """Outputs named in the request must be returned: one that the model hasn't can't be."""
    fields = raw_request(target, outputs=[{"name": "no-output-has-this-name"}])
    expect_message_refused(target, fields, "an output that the model hasn't")


@required("grpc.infer.raw-size", GRPC)
def raw_size(target: Target) -> None:
    """The size of raw contents must match what is expected by the tensor's shape and datatype."""
    fields = raw_request(target)
    fields["raw_input_contents"][0] += b"\0"
    expect_message_refused(target, fields, "a byte more than shape and datatype say")


@required("grpc.infer.raw-count", GRPC)
def raw_count(target: Target) -> None:
    """raw_input_contents must have data for each input: without the last one it is refused."""
    fields = raw_request(target)
    applies(len(target.inputs) > 1, "the model has one input")
    fields["raw_input_contents"].pop()
    expect_message_refused(target, fields, "raw contents of all inputs but one")


@recommended("grpc.infer.raw-left-over", TRITON_PROTO)
def raw_left_over(target: Target) -> None:
    """raw_input_contents has data for the inputs and for nothing else: one more is refused."""
    fields = raw_request(target)
    fields["raw_input_contents"].append(fields["raw_input_contents"][0])
    expect_message_refused(target, fields, "raw contents of an input that isn't there")


@required("grpc.infer.typed-size", GRPC)
def typed_size(target: Target) -> None:
    """The size of typed contents must match the tensor's shape."""
    applies(all(one.datatype in CONTENTS for one in target.inputs), "an input's datatype has no typed contents")
    fields = typed_request(target)
    contents = fields["inputs"][0]["contents"][CONTENTS[target.inputs[0].datatype]]
    contents.append(contents[-1])
    expect_message_refused(target, fields, "an element more than the shape says")


@required("grpc.infer.raw-and-typed", GRPC)
def raw_and_typed(target: Target) -> None:
    """Where there are raw contents, `contents` must not be specified for any input."""
    applies(all(one.datatype in CONTENTS for one in target.inputs), "an input's datatype has no typed contents")
    fields = raw_request(target, inputs=typed_request(target)["inputs"])
    expect_message_refused(target, fields, "raw contents and typed ones")


@required("grpc.infer.no-contents", GRPC)
def no_contents(target: Target) -> None:
    """An input needs contents, raw or typed."""
    fields = raw_request(target)
    del fields["raw_input_contents"]
    expect_message_refused(target, fields, "inputs without contents")


@required("grpc.infer.negative-axis", GRPC)
def negative_axis(target: Target) -> None:
    """A request's shape has no -1: that is for metadata alone."""
    fields = raw_request(target)
    found = [entry for entry in fields["inputs"] if entry["shape"]]
    applies(found, "no input has an axis")
    found[0]["shape"][0] = -1
    expect_message_refused(target, fields, "a shape with -1 in it")


@recommended("grpc.infer.wrong-datatype", TRITON_PROTO)
def wrong_datatype(target: Target) -> None:
    """Another datatype than the model's is refused, rather than converted."""
    fields = raw_request(target)
    other = "FP32" if target.inputs[0].datatype == "INT64" else "INT64"
    fields["inputs"][0]["datatype"] = other
    fields["raw_input_contents"][0] = bytes(target.inputs[0].array.size * (4 if other == "FP32" else 8))
    expect_message_refused(target, fields, f"{other} for {target.inputs[0].datatype}")


@recommended("grpc.infer.invalid-argument", TRITON)
def invalid_argument(target: Target) -> None:
    """What the client did wrong is INVALID_ARGUMENT."""
    fields = raw_request(target)
    fields["raw_input_contents"][0] = b""
    expect_message_refused(target, fields, "no bytes for a shape", "INVALID_ARGUMENT")


@recommended("grpc.infer.not-a-message", TRITON_PROTO)
def not_a_message(target: Target) -> None:
    """Bytes that are no message are refused, and don't harm the server."""
    _ = target.baseline
    expect_rpc_refused(lambda: target.rpc.send("ModelInfer", b"\xff" * 16), "bytes that are no message")


@required("grpc.infer.unharmed", GRPC)
def unharmed(target: Target) -> None:
    """Requests that were refused change nothing: afterwards the server is ready, and answers as it did."""
    expect(target.rpc.ask("ServerReady").ready, "expected ready to be true")
    expect_message(target, raw_request(target), "the plain inference, after those that were refused")


CHECKS = (
    unknown_model,
    not_found,
    unknown_version,
    missing_input,
    unknown_output,
    raw_size,
    raw_count,
    raw_left_over,
    typed_size,
    raw_and_typed,
    no_contents,
    negative_axis,
    wrong_datatype,
    invalid_argument,
    not_a_message,
    unharmed,
)
