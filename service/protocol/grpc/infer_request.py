"""From a ModelInferRequest to the engine's message."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from service.errors import InvalidRequest, Unsupported
from service.messages import InferRequest, Tensor
from service.protocol.binary import binary_array
from service.protocol.grpc.contents import contents_array
from service.protocol.grpc.wire import Split
from service.protocol.layout import Layout, Layouts, TensorHead, check_inputs, check_outputs
from service.protocol.limits import Limits
from service.protocol.parameters import check_parameters, class_count, priority_level, smaller, timeout_seconds
from service.quoting import quoted

_KEPT = 256
_LONGEST = 4096
"""Bytes of a head that are worth keeping."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says beside its id and its raw contents. `version` is None where it names none.

    `entries` are its inputs; `message` is there if it holds the elements of one. `timeout` is in seconds.
    """

    model: str
    version: str | None
    outputs: tuple[str, ...]
    classes: Mapping[str, int]
    parameters: Mapping[str, Any]
    timeout: float | None
    priority: int
    entries: tuple[tuple[TensorHead, Layout], ...]
    message: service_pb2.ModelInferRequest | None = None


class InferDecoder:
    """Turns messages into requests, within `limits`. Owns the heads that were seen: a client mostly sends the same
    again, with other tensors.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._layouts = Layouts(limits)
        self._heads: dict[bytes, Head] = {}

    def head(self, text: bytes) -> Head:
        """The head of a message. Raises InvalidRequest or Unsupported in one line that names the culprit."""
        known = self._heads.get(text)
        if known is None:
            known = self._parse(text)
            if known.message is None and len(text) <= _LONGEST:
                if len(self._heads) >= _KEPT:  # somebody sends something else every time: start over rather than grow
                    self._heads.clear()
                self._heads[text] = known
        return known

    def request(self, head: Head, parts: Split, remaining: float | None) -> InferRequest:
        """The request that a message holds; `remaining` are the seconds that the call has left, None for no limit.

        Its arrays may be views of the message. Raises InvalidRequest.
        """
        message = head.message
        if message is None:
            tensors = _raw_tensors(head.entries, parts.raw)
        elif parts.raw:
            raise InvalidRequest(
                "the message has contents and raw_input_contents: an input is sent as one or the other"
            )
        else:
            tensors = [
                Tensor(name=entry.name, datatype=entry.datatype, array=contents_array(entry, layout, tensor.contents))
                for (entry, layout), tensor in zip(head.entries, message.inputs, strict=True)
            ]
        return InferRequest(
            model=head.model,
            version=head.version,
            inputs=tuple(tensors),
            outputs=head.outputs,
            classes=head.classes,
            id=_text(parts.id),
            parameters=head.parameters,
            timeout=smaller(head.timeout, remaining),
            priority=head.priority,
            protocol="grpc",
        )

    def _parse(self, text: bytes) -> Head:
        try:
            message = service_pb2.ModelInferRequest.FromString(text)
        except DecodeError:
            raise InvalidRequest("the message isn't a ModelInferRequest: it is cut off, or was garbled") from None
        parameters = {key: _value(key, value) for key, value in message.parameters.items()}
        check_parameters(parameters)
        heads = [
            TensorHead(name=tensor.name, shape=tuple(tensor.shape), datatype=tensor.datatype)
            for tensor in message.inputs
        ]
        check_inputs(heads, self._limits)
        outputs = tuple(output.name for output in message.outputs)
        check_outputs(outputs, self._limits)
        for tensor in message.inputs:
            _refuse_shared_memory("input", tensor)
        for output in message.outputs:
            _refuse_shared_memory("output", output)
        return Head(
            model=message.model_name,
            version=message.model_version or None,
            outputs=outputs,
            classes={
                output.name: class_count(output.name, _value("classification", output.parameters["classification"]))
                for output in message.outputs
                if "classification" in output.parameters
            },
            parameters=parameters,
            timeout=timeout_seconds(parameters.get("timeout", 0)),
            priority=priority_level(parameters.get("priority", 0)),
            entries=tuple((head, self._layouts.find(head)) for head in heads),
            message=message if any(tensor.HasField("contents") for tensor in message.inputs) else None,
        )


def _raw_tensors(entries: Sequence[tuple[TensorHead, Layout]], raw: Sequence[memoryview]) -> list[Tensor]:
    if len(raw) != len(entries):
        raise InvalidRequest(f"the message has {len(entries)} inputs and {len(raw)} raw_input_contents")
    return [
        Tensor(name=entry.name, datatype=entry.datatype, array=binary_array(entry, layout, content, 0, content.nbytes))
        for (entry, layout), content in zip(entries, raw, strict=True)
    ]


def _value(key: str, parameter: service_pb2.InferParameter) -> Any:
    kind = parameter.WhichOneof("parameter_choice")
    if kind is None:
        raise InvalidRequest(f"parameter {quoted(key)} has no value")
    return getattr(parameter, kind)


def _refuse_shared_memory(role: str, tensor: Any) -> None:
    if "shared_memory_region" in tensor.parameters:
        raise Unsupported(f"{role} {quoted(tensor.name)}: client shared memory isn't supported")


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the id isn't UTF-8 text") from None
