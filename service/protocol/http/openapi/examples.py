"""Requests that the server can answer as it is: to a model that it serves, of the shapes that this has."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from service.artifact.generate import TEXT_INPUT
from service.datatypes import BYTES
from service.errors import HoneError
from service.metadata import ModelMetadata, TensorMetadata
from service.protocol.engine_port import Engine
from service.protocol.http.tensors import NO_JSON

_LONGEST = 4096
"""Elements that a request on a page may have."""
_ONES = {"BOOL": True, BYTES: "one"}
_NONE = ModelMetadata(
    name="model",
    versions=("1",),
    platform="",
    inputs=(TensorMetadata(name="input", datatype="FP32", shape=(-1, 4)),),
    outputs=(),
)
"""Stands for a model where none is served that fits."""
_PROMPT = {TEXT_INPUT: "The with statement", "parameters": {"max_tokens": 16}}


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A model, one that writes texts, and bodies for them, by the names that operations know them by."""

    model: ModelMetadata
    author: ModelMetadata
    bodies: dict[str, Any]


def examples_of(engine: Engine) -> Examples:
    """Of what is served now: of models that take tensors, that with the smallest."""
    served = sorted(_served(engine), key=lambda model: (_is_author(model), _elements(model), model.name))
    plain = [model for model in served if _is_plain(model, engine)]
    asked = (*plain, _NONE)[0]
    return Examples(
        model=(*plain, *served, _NONE)[0],
        author=next((model for model in served if _is_author(model)), _NONE),
        bodies={"infer": _infer(asked), "predict": _predict(asked), "generate": _PROMPT},
    )


def _served(engine: Engine) -> Iterator[ModelMetadata]:
    for name in {one.name for one in engine.statistics(None, None)}:
        with contextlib.suppress(HoneError):  # its versions may be served without one being preferred
            yield engine.metadata(name, None)


def _is_plain(model: ModelMetadata, engine: Engine) -> bool:
    """Whether one request in JSON is enough for an answer."""
    steps = "sequence_batching" in engine.config(model.name, None) and not _is_author(model)
    return not steps and _elements(model) <= _LONGEST and not any(one.datatype in NO_JSON for one in model.inputs)


def _is_author(model: ModelMetadata) -> bool:
    return [one.name for one in model.inputs] == [TEXT_INPUT]


def _infer(model: ModelMetadata) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": one.name, "shape": _shape(one), "datatype": one.datatype, "data": _flat(one)}
            for one in model.inputs
        ]
    }


def _predict(model: ModelMetadata) -> dict[str, Any]:
    """By rows where it has a single input, which has them."""
    columns = {one.name: _nested(one, _shape(one)) for one in model.inputs}
    by_rows = len(columns) == 1 and model.inputs[0].shape[:1] == (-1,)
    return {"instances": columns.popitem()[1]} if by_rows else {"inputs": columns}


def _shape(tensor: TensorMetadata) -> list[int]:
    return [1 if size == -1 else size for size in tensor.shape]


def _elements(model: ModelMetadata) -> int:
    return sum(prod(_shape(one)) for one in model.inputs)


def _flat(tensor: TensorMetadata) -> list[Any]:
    return [_ONES.get(tensor.datatype, 1)] * prod(_shape(tensor))


def _nested(tensor: TensorMetadata, shape: list[int]) -> Any:
    return [_nested(tensor, shape[1:])] * shape[0] if shape else _ONES.get(tensor.datatype, 1)
