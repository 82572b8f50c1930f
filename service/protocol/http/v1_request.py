"""The JSON of TensorFlow Serving's and KServe's first protocol, as a request of the second one.

By rows: `instances` is a list, of values for a model with one input, or of objects with a value for each input. By
columns: `inputs` is the one value, or an object of them. A value is a number, a boolean, a text, or nested lists of
these; bytes that are no text are an object with the one key `b64`.

Source: TensorFlow Serving, "RESTful API", predict API; KServe, "V1 protocol".
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from service.datatypes import BYTES
from service.errors import InvalidRequest
from service.messages import Tensor
from service.metadata import ModelMetadata, TensorMetadata
from service.protocol.http.bare_tokens import has_bare_tokens, parse_with_bare_tokens
from service.protocol.http.tensors import flatten, json_array
from service.protocol.http.twins import refuse_twins
from service.protocol.layout import Layouts, TensorHead, check_elements
from service.protocol.limits import Limits
from service.quoting import listed, quoted

_KEYS = frozenset({"instances", "inputs", "signature_name"})
_ONCE = dict.fromkeys((b'"instances"', b'"inputs"', b'"signature_name"'), 1)
_SIGNATURE = "serving_default"


class PredictDecoder:
    """Turns bodies into tensors, within `limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._layouts = Layouts(limits)

    def decode(self, body: bytes, model: ModelMetadata) -> tuple[tuple[Tensor, ...], int | None]:
        """The inputs of `model` that a body holds, and how many instances; None where it has columns.

        Raises InvalidRequest that names the culprit.
        """
        document = _parsed(body)
        unknown = sorted(document.keys() - _KEYS)
        if unknown:
            raise InvalidRequest(f'{quoted(unknown[0])} isn\'t known, expected "instances" or "inputs"')
        if document.get("signature_name", _SIGNATURE) != _SIGNATURE:
            raise InvalidRequest(
                f'"signature_name" is {quoted(document["signature_name"])}, there is {_SIGNATURE} only'
            )
        if ("instances" in document) is ("inputs" in document):
            raise InvalidRequest('expected either "instances" (by rows) or "inputs" (by columns)')
        rows = document.get("instances", ())
        of_inputs = {f'"{spec.name}"'.encode(): len(rows) if isinstance(rows, list) else 1 for spec in model.inputs}
        refuse_twins(body, {**of_inputs, **_ONCE})
        if "inputs" in document:
            return self._tensors(_columns(document["inputs"], model), model), None
        instances = document["instances"]
        if not isinstance(instances, list) or not instances:
            raise InvalidRequest('"instances" must be a list with an element for each instance')
        return self._tensors(_rows(instances, model), model), len(instances)

    def _tensors(self, values: Mapping[str, Any], model: ModelMetadata) -> tuple[Tensor, ...]:
        known = {spec.name: spec for spec in model.inputs}
        unknown = sorted(values.keys() - known.keys())
        if unknown:
            raise InvalidRequest(
                f"model {quoted(model.name)} has no input {quoted(unknown[0])}, it has {listed(known)}"
            )
        return tuple([self._tensor(known[name], value) for name, value in values.items()])

    def _tensor(self, spec: TensorMetadata, value: Any) -> Tensor:
        head = TensorHead(name=spec.name, shape=_shape(value, self._limits.max_rank + 1), datatype=spec.datatype)
        layout = self._layouts.find(head)
        if spec.datatype == BYTES:
            flat = flatten(head, [value], self._limits.max_depth)
            check_elements(head, len(flat), self._limits)
            texts = np.empty(len(flat), np.object_)
            texts[:] = [_element(spec.name, one) for one in flat]
            return Tensor(name=spec.name, datatype=BYTES, array=texts.reshape(head.shape))
        data = value if isinstance(value, list) else [value]
        return Tensor(
            name=spec.name, datatype=spec.datatype, array=json_array(head, layout, data, self._limits.max_depth)
        )


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not has_bare_tokens(body):
            raise InvalidRequest(f"the JSON is malformed: {error}") from None
        try:
            document = parse_with_bare_tokens(body)
        except RecursionError:
            raise InvalidRequest("the JSON is nested too deeply") from None
        except ValueError as fault:
            raise InvalidRequest(f"the JSON is malformed: {fault}") from None
    if not isinstance(document, dict):
        raise InvalidRequest('expected a JSON object with "instances" or "inputs"')
    return document


def _rows(instances: Sequence[Any], model: ModelMetadata) -> dict[str, Any]:
    """The column of each input."""
    if not _is_named(instances[0]):
        return {_only_input(model): list(instances)}
    names = instances[0].keys()
    for number, instance in enumerate(instances):
        if not _is_named(instance) or instance.keys() != names:
            raise InvalidRequest(f"instance {number} hasn't the inputs of instance 0, {quoted(sorted(names))}")
    return {name: [instance[name] for instance in instances] for name in names}


def _columns(inputs: Any, model: ModelMetadata) -> dict[str, Any]:
    return inputs if _is_named(inputs) else {_only_input(model): inputs}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _only_input(model: ModelMetadata) -> str:
    if len(model.inputs) != 1:
        names = listed(spec.name for spec in model.inputs)
        raise InvalidRequest(f"model {quoted(model.name)} has the inputs {names}: name each value")
    return model.inputs[0].name


def _shape(value: Any, most: int) -> tuple[int, ...]:
    """As the first element of each level has it; `flatten` finds out whether the others do."""
    dims: list[int] = []
    while isinstance(value, list) and len(dims) < most:
        dims.append(len(value))
        value = value[0] if value else None
    return tuple(dims)


def _element(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest(f"input {quoted(name)}: b64 isn't base64") from None
    raise InvalidRequest(f'input {quoted(name)}: BYTES takes a text or {{"b64": text}}')
