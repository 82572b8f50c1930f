"""The JSON of Triton's generate extension as a request of a model that writes texts.

`text_input` is the text to begin with. What else is wanted stands in `parameters` or beside `text_input`, as in Triton,
where whatever is no input is a parameter.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from service.artifact.generate import TEXT_INPUT
from service.datatypes import BYTES, one_element
from service.errors import InvalidRequest, Unsupported
from service.messages import InferRequest, Tensor
from service.metadata import ModelMetadata
from service.protocol.http.json_object import object_of
from service.protocol.parameters import check_parameters, priority_level, smaller, timeout_seconds
from service.quoting import quoted

_LISTS = ("stop", "stop_words")
"""What may be a list of texts."""


def decode_generate(
    body: bytes, model: ModelMetadata, version: str | None, timeout: float | None, *, streams: bool
) -> InferRequest:
    """The request that a body holds; `timeout` is that of the headers. Raises InvalidRequest that names the culprit,
    and Unsupported for a model that writes no texts.
    """
    if [one.name for one in model.inputs] != [TEXT_INPUT] or model.inputs[0].datatype != BYTES:
        raise Unsupported(f'model "{model.name}" writes no texts: ask it by /v2/models/{model.name}/infer')
    document = object_of(body)
    parameters = _parameters(document)
    text, name = document.get(TEXT_INPUT), document.get("id", "")
    if not isinstance(text, str) or not isinstance(name, str):
        raise InvalidRequest(f'"{TEXT_INPUT}" must be a text, and "id" too where it is given')
    check_parameters(parameters)
    array = one_element(text.encode(errors="surrogatepass"), len(model.inputs[0].shape))
    granted = timeout_seconds(parameters.get("timeout", 0))
    return InferRequest(
        model=model.name,
        version=version,
        inputs=(Tensor(name=TEXT_INPUT, datatype=BYTES, array=array),),
        id=name,
        parameters=parameters,
        timeout=timeout if granted is None else smaller(timeout, granted),
        priority=priority_level(parameters.get("priority", 0)),
        streams=streams,
    )


def _parameters(document: Mapping[str, Any]) -> dict[str, Any]:
    """All that is wanted, as scalars: a list of texts that end it as JSON."""
    inner = document.get("parameters", {})
    if not isinstance(inner, dict):
        raise InvalidRequest('"parameters" must be an object')
    twice = sorted(inner.keys() & document.keys())
    if twice:
        raise InvalidRequest(f'{quoted(twice[0])} is given twice: in "parameters", and beside it')
    beside = {key: value for key, value in document.items() if key not in (TEXT_INPUT, "id", "parameters")}
    parameters = inner | beside
    lists = {key: parameters.pop(key) for key in _LISTS if isinstance(parameters.get(key), list)}
    for key, stops in lists.items():
        if any(not isinstance(stop, str) for stop in stops):
            raise InvalidRequest(f"parameter {key} must be a text, or a list of texts")
    if lists and parameters.get("stop_words", "") != "":
        raise InvalidRequest('"stop_words" is given as a text beside a list of texts: give one list')
    if lists:
        parameters["stop_words"] = orjson.dumps([stop for stops in lists.values() for stop in stops]).decode()
    return parameters
