"""From a ModelInferRequest to the engine's message."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from service.errors import InvalidRequest
from service.messages import InferRequest, Tensor
from service.protocol.binary import Body, binary_array
from service.protocol.client_memory import REGION, ClientMemory, Place, Target, check_targets, place_of
from service.protocol.grpc.contents import contents_array
from service.protocol.grpc.wire import Split
from service.protocol.layout import Layout, Layouts, TensorHead, check_inputs, check_outputs
from service.protocol.limits import Limits
from service.protocol.parameters import check_parameters, class_count, priority_level, smaller, timeout_seconds
from service.quoting import quoted

_KEPT = 256
_NONE: Mapping[str, Any] = {}
_LONGEST = 4096
"""Bytes of a head that are worth keeping."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says beside its id and its raw contents. `version` is None where it names none.

    `entries` are its inputs, of which `places` says which lie in shared memory; `targets` are outputs that are to be
    written there. `message` is there if it holds the elements of one. `timeout` is in seconds.
    """

    model: str
    version: str | None
    outputs: tuple[str, ...]
    classes: Mapping[str, int]
    parameters: Mapping[str, Any]
    timeout: float | None
    priority: int
    entries: tuple[tuple[TensorHead, Layout], ...]
    places: tuple[Place | None, ...]
    targets: Mapping[str, Place]
    message: service_pb2.ModelInferRequest | None = None


class InferDecoder:
    """Turns messages into requests, within `limits`. Owns the heads that were seen: a client mostly sends the same
    again, with other tensors.
    """

    def __init__(self, limits: Limits, memory: ClientMemory) -> None:
        self._limits = limits
        self._memory = memory
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
            tensors = self._raw_tensors(head, parts.raw)
        elif parts.raw:
            raise InvalidRequest(
                "the message has contents and raw_input_contents: an input is sent as one or the other"
            )
        else:
            if any(head.places):
                raise InvalidRequest("an input lies in shared memory and another has contents: send these raw")
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

    def targets(self, head: Head) -> Mapping[str, Target]:
        """Where outputs are to be written. Raises InvalidRequest or Forbidden."""
        return {name: self._memory.target(place) for name, place in head.targets.items()} if head.targets else _NONE

    def _raw_tensors(self, head: Head, raw: Sequence[memoryview]) -> list[Tensor]:
        """Of inputs in the message the next of `raw`, of others what lies in shared memory."""
        needed = head.places.count(None)
        if len(raw) != needed:
            raise InvalidRequest(f"the message has {needed} inputs and {len(raw)} raw_input_contents")
        contents = iter(raw)
        tensors, shared = [], 0
        for (entry, layout), place in zip(head.entries, head.places, strict=True):
            content: Body
            if place is None:
                content = next(contents)
            else:
                content = self._memory.read(place, self._limits.max_binary_bytes - shared)
                shared += place.size
            array = binary_array(entry, layout, content, 0, len(content))
            tensors.append(Tensor(name=entry.name, datatype=entry.datatype, array=array))
        return tensors

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
        classes = {
            output.name: class_count(output.name, _value("classification", output.parameters["classification"]))
            for output in message.outputs
            if "classification" in output.parameters
        }
        targets = {output.name: place for output in message.outputs if (place := _place("output", output)) is not None}
        check_targets(classes, targets)
        return Head(
            model=message.model_name,
            version=message.model_version or None,
            outputs=outputs,
            classes=classes,
            parameters=parameters,
            timeout=timeout_seconds(parameters.get("timeout", 0)),
            priority=priority_level(parameters.get("priority", 0)),
            entries=tuple((head, self._layouts.find(head)) for head in heads),
            places=tuple(_place("input", tensor) for tensor in message.inputs),
            targets=targets,
            message=message if any(tensor.HasField("contents") for tensor in message.inputs) else None,
        )


def _value(key: str, parameter: service_pb2.InferParameter) -> Any:
    kind = parameter.WhichOneof("parameter_choice")
    if kind is None:
        raise InvalidRequest(f"parameter {quoted(key)} has no value")
    return getattr(parameter, kind)


def _place(role: str, tensor: Any) -> Place | None:
    if REGION not in tensor.parameters:
        return None
    return place_of(role, tensor.name, {key: _value(key, value) for key, value in tensor.parameters.items()})


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the id isn't UTF-8 text") from None
