"""The JSON of Triton's generate extension as a request of a model that writes texts.

`text_input` is the text to begin with. What else is wanted of the text stands in `parameters`, or beside `text_input`.
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

WISHES = ("max_tokens", "temperature", "top_k", "top_p", "seed", "stop", "stop_words", "stream")
"""What may stand beside `text_input` too."""


def decode_generate(
    body: bytes, model: ModelMetadata, version: str | None, timeout: float | None, *, streams: bool
) -> InferRequest:
    """The request that a body holds; `timeout` is that of the headers. Raises InvalidRequest that names the culprit,
    and Unsupported for a model that writes no texts.
    """
    if [one.name for one in model.inputs] != [TEXT_INPUT] or model.inputs[0].datatype != BYTES:
        raise Unsupported(f'model "{model.name}" writes no texts: ask it by /v2/models/{model.name}/infer')
    document = object_of(body)
    text, name = document.pop(TEXT_INPUT, None), document.pop("id", "")
    if not isinstance(text, str) or not isinstance(name, str):
        raise InvalidRequest(f'"{TEXT_INPUT}" must be a text, and "id" too where it is given')
    parameters = _parameters(document)
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
    beside = {key: value for key, value in document.items() if key != "parameters"}
    for key in beside:
        if key not in WISHES:
            raise InvalidRequest(f'{quoted(key)} isn\'t known, expected "{TEXT_INPUT}", "parameters" or "id"')
    parameters = inner | beside
    listed = [parameters.pop(key) for key in ("stop", "stop_words") if isinstance(parameters.get(key), list)]
    if any(not isinstance(stop, str) for stops in listed for stop in stops):
        raise InvalidRequest('"stop" must be a text, or a list of texts')
    if listed and "stop_words" in parameters:
        raise InvalidRequest('"stop_words" is given as a text beside a list of texts: give one list')
    if listed:
        parameters["stop_words"] = orjson.dumps([stop for stops in listed for stop in stops]).decode()
    return parameters
