"""Inference messages of gRPC as plain values: what is asked, and what an answer has."""

from collections.abc import Sequence
from typing import Any

from service.client.conformance.expectation import CheckFailed, expect
from service.client.conformance.output import Output, from_raw
from service.client.conformance.question import raw_of
from service.client.conformance.rpc_refusal import expect_rpc_refused
from service.client.conformance.target import Target
from service.datatypes import BYTES
from service.messages import Tensor

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field of each datatype's typed contents; the others are raw only."""


def raw_request(target: Target, **changes: Any) -> dict[str, Any]:
    """The fields of a ModelInferRequest that the model should take, its tensors in raw_input_contents."""
    return {
        **_common(target),
        "inputs": [_described(one) for one in target.inputs],
        "raw_input_contents": [raw_of(one) for one in target.inputs],
        **changes,
    }


def typed_request(target: Target, **changes: Any) -> dict[str, Any]:
    """The same with typed contents; all datatypes must have a field in CONTENTS."""
    inputs = [{**_described(one), "contents": {CONTENTS[one.datatype]: _typed(one)}} for one in target.inputs]
    return {**_common(target), "inputs": inputs, **changes}


def parameter(value: object) -> dict[str, object]:
    """An InferParameter."""
    if isinstance(value, bool):
        return {"bool_param": value}
    if isinstance(value, int):
        return {"int64_param": value}
    return {"double_param": value} if isinstance(value, float) else {"string_param": str(value)}


def read_message(message: Any, what: str) -> tuple[Output, ...]:
    """The outputs of a ModelInferResponse, raw or typed. Raises CheckFailed."""
    raws = list(message.raw_output_contents)
    if not raws:
        return tuple(_typed_output(one, what) for one in message.outputs)
    expect(len(raws) == len(message.outputs), f"{what}: {len(message.outputs)} outputs, {len(raws)} raw contents")
    for one in message.outputs:
        expect(not one.contents.ListFields(), f'{what}: output "{one.name}" has contents beside the raw ones')
    return tuple(
        from_raw(one.name, one.datatype, tuple(one.shape), raw) for one, raw in zip(message.outputs, raws, strict=True)
    )


def expect_message(target: Target, fields: dict[str, Any], what: str) -> Any:
    """The answer to a ModelInfer, which must have the outputs that the plain inference over HTTP has."""
    message = target.rpc.ask("ModelInfer", **fields)
    target.expect_outputs(read_message(message, what), what)
    return message


def expect_message_refused(target: Target, fields: dict[str, Any], what: str, *codes: str) -> None:
    """Raise CheckFailed unless a ModelInfer is refused; with one of `codes`, if there are any."""
    expect_rpc_refused(lambda: target.rpc.ask("ModelInfer", **fields), what, *codes)


def _common(target: Target) -> dict[str, Any]:
    _ = target.baseline
    return {
        "model_name": target.model,
        "parameters": {key: parameter(value) for key, value in target.parameters.items()},
    }


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.array.shape)}


def _typed(tensor: Tensor) -> list[Any]:
    values: list[Any] = tensor.array.reshape(-1).tolist()
    return values


def _typed_output(one: Any, what: str) -> Output:
    field = CONTENTS.get(one.datatype)
    if field is None:
        raise CheckFailed(f'{what}: output "{one.name}" is {one.datatype}, and there are no raw contents')
    values: Sequence[Any] = getattr(one.contents, field)
    output = Output(name=one.name, datatype=one.datatype, shape=tuple(one.shape), values=list(values))
    kind = "strings" if one.datatype == BYTES else "elements"
    count = len(output.values)
    expect(count == output.elements, f'{what}: output "{one.name}" has {count} {kind}, its shape {output.elements}')
    return output
