"""The examples of the OpenAPI document, by what is served."""

from dataclasses import dataclass
from typing import Any

import pytest

from service.metadata import ModelMetadata, ModelStatistics, TensorMetadata
from service.protocol.http.openapi.examples import examples_of
from tests.contract.double_engine import DoubleEngine

NONE = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}]}


@dataclass
class Serving(DoubleEngine):
    """An engine that serves models of these inputs: datatype and shape, by name; `step` is one of a sequence."""

    models: dict[str, Any]

    def statistics(self, model: str | None, version: str | None) -> list[ModelStatistics]:
        return [
            ModelStatistics(
                name=name,
                version="3",
                last_inference=0,
                inference_count=0,
                execution_count=0,
                durations={},
                batches={},
            )
            for name in self.models
        ]

    def metadata(self, model: str, version: str | None) -> ModelMetadata:
        inputs = tuple(
            TensorMetadata(name=name, datatype=datatype, shape=shape)
            for name, (datatype, shape) in self.models[model].items()
        )
        return ModelMetadata(name=model, versions=("3",), platform="", inputs=inputs, outputs=())

    def config(self, model: str, version: str | None) -> dict[str, object]:
        return {"name": model, **({"sequence_batching": {}} if model == "step" else {})}


@pytest.mark.parametrize(
    "models,model,infer,predict",
    [
        ({}, "model", NONE["inputs"], {"instances": [[1, 1, 1, 1]]}),
        (
            {"large": {"x": ("FP32", (-1, 64))}, "small": {"x": ("INT64", (-1, 2, -1))}},
            "small",
            [{"name": "x", "shape": [1, 2, 1], "datatype": "INT64", "data": [1, 1]}],
            {"instances": [[[1], [1]]]},
        ),
        (
            {"two": {"x": ("BOOL", (-1, 1)), "t": ("BYTES", (-1,))}},
            "two",
            [
                {"name": "x", "shape": [1, 1], "datatype": "BOOL", "data": [True]},
                {"name": "t", "shape": [1], "datatype": "BYTES", "data": ["one"]},
            ],
            {"inputs": {"x": [[True]], "t": ["one"]}},
        ),
        (
            {"fixed": {"x": ("FP32", (2,))}},
            "fixed",
            [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 1]}],
            {"inputs": {"x": [1, 1]}},
        ),
        ({"step": {"x": ("FP32", (-1, 1))}}, "step", NONE["inputs"], {"instances": [[1, 1, 1, 1]]}),
        ({"half": {"x": ("FP16", (-1, 1))}}, "half", NONE["inputs"], {"instances": [[1, 1, 1, 1]]}),
        ({"huge": {"x": ("FP32", (-1, 3, 224, 224))}}, "huge", NONE["inputs"], {"instances": [[1, 1, 1, 1]]}),
    ],
)
def test_a_request_fits_what_is_served(
    models: dict[str, Any], model: str, infer: list[dict[str, Any]], predict: dict[str, Any]
) -> None:
    """The smallest model, ones in its shapes; a made-up one stands for none that takes a short request in JSON."""
    examples = examples_of(Serving(models))

    assert (model, ("3",) if models else ("1",)) == (examples.model.name, examples.model.versions)
    assert "model" == examples.author.name
    assert {"inputs": infer} == examples.bodies["infer"]
    assert predict == examples.bodies["predict"]


def test_texts_are_asked_of_a_model_that_writes_them() -> None:
    """And tensors rather of another."""
    text: dict[str, Any] = {"text_input": ("BYTES", (-1, 1))}
    both = examples_of(Serving({"abc": text, "large": {"x": ("FP32", (-1, 64))}}))
    alone = examples_of(Serving({"abc": text}))

    assert ("large", "abc") == (both.model.name, both.author.name)
    assert ("abc", "abc") == (alone.model.name, alone.author.name)
    assert "one" == alone.bodies["infer"]["inputs"][0]["data"][0]
