"""From the body of an inference request to the engine's message."""

from collections.abc import Mapping
from typing import Any

import msgspec

from service.errors import InvalidRequest, TooLarge
from service.messages import InferRequest, Tensor
from service.protocol.binary import Body, binary_array
from service.protocol.client_memory import ClientMemory, place_of
from service.protocol.engine_port import Engine
from service.protocol.http.document import InputEntry, NumericInputEntry, parse_document
from service.protocol.http.head import Head
from service.protocol.http.raw_request import decode_raw
from service.protocol.http.template import Decoded, Templates, Terms
from service.protocol.http.tensors import json_array, numeric_array
from service.protocol.http.wanted import ALL_JSON, Wanted, read_wanted
from service.protocol.layout import Layout, Layouts, check_inputs
from service.protocol.limits import Limits
from service.protocol.parameters import check_parameters, priority_level, smaller, timeout_seconds
from service.quoting import quoted

_NONE: Mapping[str, Any] = {}
_PLAIN = Terms(wanted=ALL_JSON, parameters=_NONE, timeout=None, priority=0)


class InferDecoder:
    """Turns bodies into requests, within `limits`; asks `engine` only for what a raw request needs to know."""

    __slots__ = ("_engine", "_layouts", "_limits", "_memory", "_templates")

    def __init__(self, engine: Engine, limits: Limits, memory: ClientMemory) -> None:
        self._engine = engine
        self._limits = limits
        self._memory = memory
        self._layouts = Layouts(limits)
        self._templates = Templates()

    def decode(self, model: str, version: str | None, head: Head, body: Body) -> tuple[InferRequest, Wanted]:
        """The request that a body holds, and how its outputs are wanted.

        `body` is JSON, JSON followed by binary data, or binary data alone, as `head.json_length` says. Arrays may be
        views of `body`. Raises InvalidRequest, TooLarge or Unsupported, in one line that names the culprit; for binary
        data alone also what `Engine.metadata` raises.
        """
        json_length = head.json_length
        if json_length is None:
            known = self._templates.numbers(bytes(body))
        elif json_length:
            known = self._templates.binary(body, _json_part(body, json_length, self._limits))
        else:
            return decode_raw(model, version, head, body, self._engine)
        terms, name, tensors = known or self._parse(body, json_length)
        timeout = head.timeout
        request = InferRequest(
            model=model,
            version=version,
            inputs=tensors,
            outputs=terms.wanted.names,
            classes=terms.wanted.classes,
            id=name,
            parameters=terms.parameters,
            timeout=timeout if terms.timeout is None else smaller(timeout, terms.timeout),
            priority=terms.priority,
        )
        return request, terms.wanted

    def _parse(self, body: Body, json_length: int | None) -> Decoded:
        text = bytes(body if json_length is None else body[:json_length])
        document = parse_document(text)
        terms = _PLAIN
        if document.parameters or document.outputs:
            parameters = document.parameters or _NONE
            check_parameters(parameters)
            terms = Terms(
                wanted=read_wanted(document.outputs or (), parameters, self._limits, self._memory),
                parameters=parameters,
                timeout=timeout_seconds(parameters.get("timeout", 0)),
                priority=priority_level(parameters.get("priority", 0)),
            )
        layouts: list[Layout] = []
        tensors = self._tensors(document.inputs, body, len(text), layouts)
        if len(layouts) == len(tensors) and not terms.wanted.targets:
            self._templates.learn(body, text, document, layouts, terms)
        return terms, document.id or "", tensors

    def _tensors(
        self, entries: tuple[InputEntry, ...], body: Body, start: int, layouts: list[Layout]
    ) -> tuple[Tensor, ...]:
        """One tensor for each entry; binary ones are taken from `body[start:]` in order, until nothing is left.

        The layouts of those that the body holds are added to `layouts`.
        """
        limits = self._limits
        check_inputs(entries, limits)
        tensors, shared = [], 0
        for entry in entries:
            layout = self._layouts.find(entry)
            if entry.parameters and (place := place_of("input", entry.name, entry.parameters)):
                _refuse_other_data(entry, entry.parameters)
                content = self._memory.read(place, limits.max_binary_bytes - shared)
                shared += place.size
                array = binary_array(entry, layout, content, 0, place.size)
                tensors.append(Tensor(name=entry.name, datatype=entry.datatype, array=array))
                continue
            layouts.append(layout)
            size = _binary_size(entry, entry.parameters) if entry.parameters else None
            data = entry.data
            if size is not None:
                array = binary_array(entry, layout, body, start, size)
                start += size
            elif type(entry) is NumericInputEntry and data is not msgspec.UNSET:
                array = numeric_array(entry, layout, data)
            elif data is not msgspec.UNSET:
                array = json_array(entry, layout, data, limits.max_depth)
            else:
                raise InvalidRequest(f"input {quoted(entry.name)} has neither data nor binary_data_size")
            tensors.append(Tensor(name=entry.name, datatype=entry.datatype, array=array))
        if start != len(body):
            raise InvalidRequest(f"{len(body) - start} bytes are left over after the last input")
        return tuple(tensors)


def _json_part(body: Body, json_length: int, limits: Limits) -> bytes:
    if json_length > len(body):
        raise InvalidRequest(f"Inference-Header-Content-Length is {json_length}, the body has {len(body)} bytes")
    if json_length > limits.max_json_bytes:
        raise TooLarge(
            f"the JSON part has {json_length} bytes, the limit is {limits.max_json_bytes}: "
            "send the tensors as binary data"
        )
    return bytes(body[:json_length])


def _binary_size(entry: InputEntry, parameters: Mapping[str, Any]) -> int | None:
    """`binary_data_size`, or None where the data is JSON. Exactly one source of data is allowed."""
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise InvalidRequest(f"input {quoted(entry.name)}: binary_data_size is {quoted(size)}, expected a byte count")
    if entry.data is not msgspec.UNSET:
        raise InvalidRequest(f"input {quoted(entry.name)} has both data and binary_data_size")
    return size


def _refuse_other_data(entry: InputEntry, parameters: Mapping[str, Any]) -> None:
    if entry.data is not msgspec.UNSET or parameters.get("binary_data_size") is not None:
        raise InvalidRequest(f"input {quoted(entry.name)} lies in shared memory and has data besides")
