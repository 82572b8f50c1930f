"""Inference in JSON, of requests that can't be answered."""

import json
from typing import Any

from service.client.conformance.check import recommended, required
from service.client.conformance.expectation import applies
from service.client.conformance.question import json_entry
from service.client.conformance.refusal import expect_status
from service.client.conformance.sample import values_of
from service.client.conformance.specification import REST, TENSORS, TRITON, TRITON_HTTP
from service.client.conformance.target import NO_VERSION, NOBODY, Target
from service.messages import Tensor

_HUGE = 2**62


@required("http.infer.unknown-model", REST)
def unknown_model(target: Target) -> None:
    """A failed inference request is an HTTP error status: here, of a model that doesn't exist."""
    body, headers = target.plain()
    target.expect_refused(body, "a model that doesn't exist", headers, model=NOBODY)


@recommended("http.infer.unknown-model-404", TRITON)
def unknown_model_404(target: Target) -> None:
    """What isn't found is answered 404."""
    body, headers = target.plain()
    expect_status(target.infer(body, headers, model=NOBODY), 404, "a model that doesn't exist")


@required("http.infer.unknown-version", REST)
def unknown_version(target: Target) -> None:
    """A version that the model hasn't can't be asked."""
    _ = target.version, target.baseline
    body, headers = target.plain()
    target.expect_refused(body, f"version {NO_VERSION}, which isn't listed", headers, version=NO_VERSION)


@required("http.infer.malformed", REST)
def malformed(target: Target) -> None:
    """The body of a request must be JSON: one that is cut off is refused."""
    target.expect_refused(_body(target.document())[:-2], "JSON that is cut off")


@required("http.infer.empty-body", REST)
def empty_body(target: Target) -> None:
    """The inference request object is required in the body."""
    _ = target.baseline
    target.expect_refused(b"", "an empty body")


@required("http.infer.not-an-object", REST)
def not_an_object(target: Target) -> None:
    """The body is one JSON object, not a list of them."""
    target.expect_refused(json.dumps([target.document()]).encode(), "a list in place of an object")


@required("http.infer.no-inputs", REST)
def no_inputs(target: Target) -> None:
    """A request has `inputs`: without the key it is refused."""
    document = target.document()
    del document["inputs"]
    target.expect_refused(_body(document), 'no "inputs"')


@required("http.infer.missing-input", REST)
def missing_input(target: Target) -> None:
    """All inputs of the metadata are required by the model, but for those that its configuration has as optional."""
    document = target.document()
    optional = {one.get("name") for one in target.config.get("input", []) if one.get("optional")}
    needed = [entry for entry in document["inputs"] if entry["name"] not in optional]
    applies(needed, "all inputs are optional")
    document["inputs"].remove(needed[-1])
    target.expect_refused(_body(document), f'without the input "{needed[-1]["name"]}"')


@recommended("http.infer.unknown-input", TRITON_HTTP)
def unknown_input(target: Target) -> None:
    """An input that the model hasn't is refused, rather than left out of the computation."""
    document = target.document()
    document["inputs"].append({**document["inputs"][0], "name": "no-input-has-this-name"})
    target.expect_refused(_body(document), "an input that the model hasn't")


@recommended("http.infer.twin-inputs", TRITON_HTTP)
def twin_inputs(target: Target) -> None:
    """An input that is given twice is refused: nobody can know which is meant."""
    document = target.document()
    document["inputs"].append(document["inputs"][0])
    target.expect_refused(_body(document), "an input that is given twice")


@required("http.infer.unknown-output", REST)
def unknown_output(target: Target) -> None:
    """Outputs named in the request must be returned: one that the model hasn't can't be."""
    document = target.document()
    document["outputs"] = [{"name": "no-output-has-this-name"}]
    target.expect_refused(_body(document), "an output that the model hasn't")


@recommended("http.infer.twin-outputs", TRITON_HTTP)
def twin_outputs(target: Target) -> None:
    """An output that is asked for twice is refused."""
    document = target.document()
    document["outputs"] = [{"name": target.baseline.names[0]}] * 2
    target.expect_refused(_body(document), "an output that is asked for twice")


@required("http.infer.too-few-elements", TENSORS)
def too_few_elements(target: Target) -> None:
    """Data must have as many elements as the shape says: one less is refused."""
    document = target.document()
    document["inputs"][0]["data"].pop()
    target.expect_refused(_body(document), "an element less than the shape says")


@required("http.infer.too-many-elements", TENSORS)
def too_many_elements(target: Target) -> None:
    """Data must have as many elements as the shape says: one more is refused."""
    document = target.document()
    document["inputs"][0]["data"].append(document["inputs"][0]["data"][-1])
    target.expect_refused(_body(document), "an element more than the shape says")


@required("http.infer.negative-axis", REST)
def negative_axis(target: Target) -> None:
    """Each dimension of a request's shape is an unsigned integer: -1 is for metadata alone."""
    document = target.document()
    _with_axes(target, document)["shape"][0] = -1
    target.expect_refused(_body(document), "a shape with -1 in it")


@required("http.infer.fractional-axis", REST)
def fractional_axis(target: Target) -> None:
    """Each dimension of a request's shape is an integer: 1.5 is refused."""
    document = target.document()
    _with_axes(target, document)["shape"][0] = 1.5
    target.expect_refused(_body(document), "a shape with 1.5 in it")


@required("http.infer.overflowing-shape", TENSORS)
def overflowing_shape(target: Target) -> None:
    """A shape whose product is beyond 64 bits doesn't come out as a small tensor: it is refused."""
    document = target.document()
    entry = _with_axes(target, document)
    entry["shape"] = [_HUGE] * len(entry["shape"])
    entry["data"] = []
    target.expect_refused(_body(document), f"a shape of {_HUGE} on each axis, without data")


@required("http.infer.wrong-shape", REST)
def wrong_shape(target: Target) -> None:
    """Where the metadata's shape has a number, the input must have that many: others are refused."""
    document = target.document()
    shapes = {entry["name"]: entry["shape"] for entry in target.described()["inputs"]}
    for index, tensor in enumerate(target.inputs):
        fixed = [axis for axis, size in enumerate(shapes.get(tensor.name, ())) if size > 0]
        if fixed:
            shape = list(tensor.array.shape)
            shape[fixed[-1]] += 1
            size = tensor.array.size // tensor.array.shape[fixed[-1]] * shape[fixed[-1]]
            array = values_of(tensor.datatype, size).reshape(shape)
            document["inputs"][index] = json_entry(Tensor(name=tensor.name, datatype=tensor.datatype, array=array))
            target.expect_refused(_body(document), f"shape {shape} for {shapes[tensor.name]}")
            return
    applies(False, "no input has a fixed axis")


@required("http.infer.unknown-datatype", TENSORS)
def unknown_datatype(target: Target) -> None:
    """Datatypes are those of the protocol: another word is refused."""
    document = target.document()
    document["inputs"][0]["datatype"] = "FP31"
    target.expect_refused(_body(document), "the datatype FP31")


@recommended("http.infer.wrong-datatype", TRITON_HTTP)
def wrong_datatype(target: Target) -> None:
    """Another datatype than the model's is refused, rather than converted."""
    document = target.document()
    first = document["inputs"][0]
    first["datatype"] = "FP32" if first["datatype"] == "INT64" else "INT64"
    first["data"] = [1] * len(first["data"])
    target.expect_refused(_body(document), f"{first['datatype']} for {target.inputs[0].datatype}")


@required("http.infer.wrong-element", TENSORS)
def wrong_element(target: Target) -> None:
    """Elements are of the JSON type that fits the datatype: an object fits none."""
    document = target.document()
    document["inputs"][0]["data"][0] = {"no": "element"}
    target.expect_refused(_body(document), "an object among the elements")


@required("http.infer.no-data", REST)
def no_data(target: Target) -> None:
    """An input in JSON has `data`: without any, and without what stands for it, it is refused."""
    document = target.document()
    del document["inputs"][0]["data"]
    target.expect_refused(_body(document), "an input without data")


@recommended("http.infer.wrong-method", TRITON_HTTP)
def wrong_method(target: Target) -> None:
    """Inference is asked by POST: a GET is answered 405."""
    expect_status(target.http.get(target.path("/infer")), 405, "GET v2/models/NAME/infer")


def _with_axes(target: Target, document: dict[str, Any]) -> dict[str, Any]:
    """The first input that has any axes; rather one in which the metadata lets an axis vary."""
    found = [entry for entry in document["inputs"] if entry["shape"]]
    applies(found, "no input has an axis")
    shapes = {entry["name"]: entry["shape"] for entry in target.metadata.get("inputs", [])}
    varying = [entry for entry in found if -1 in shapes.get(entry["name"], [])]
    entry: dict[str, Any] = (varying or found)[0]
    return entry


def _body(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


CHECKS = (
    unknown_model,
    unknown_model_404,
    unknown_version,
    malformed,
    empty_body,
    not_an_object,
    no_inputs,
    missing_input,
    unknown_input,
    twin_inputs,
    unknown_output,
    twin_outputs,
    too_few_elements,
    too_many_elements,
    negative_axis,
    fractional_axis,
    overflowing_shape,
    wrong_shape,
    unknown_datatype,
    wrong_datatype,
    wrong_element,
    no_data,
    wrong_method,
)
