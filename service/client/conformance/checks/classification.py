"""Triton's classification: an output as its highest values."""

import math

from service.client.conformance.check import extension
from service.client.conformance.expectation import CheckFailed, CheckSkipped, applies, expect
from service.client.conformance.output import Output
from service.client.conformance.question import NOT_IN_JSON
from service.client.conformance.reply import read_reply
from service.client.conformance.specification import CLASSIFICATION
from service.client.conformance.target import Target

_NAME = "classification"


@extension("http.classification.form", CLASSIFICATION, _NAME)
def form(target: Target) -> None:
    """An output with the parameter `classification` comes as BYTES, so many strings a row, each value:index[:label]."""
    scores = _scores(target)
    found = _classes(target, scores, 1)
    expect(found.datatype == "BYTES", f"expected BYTES, got {found.datatype}")
    expect(found.shape[-1:] == (1,), f"expected one class a row, got shape {list(found.shape)}")
    for text in found.values:
        _parts(text, scores)


@extension("http.classification.order", CLASSIFICATION, _NAME)
def order(target: Target) -> None:
    """The classes are those of the highest values, the highest first."""
    scores = _scores(target)
    count = min(3, scores.shape[-1])
    found = [_parts(text, scores) for text in _classes(target, scores, count).values]
    expect(len(found) % count == 0 and found, f"expected {count} classes a row, got {len(found)}")
    ranked = sorted(scores.values[: scores.shape[-1]], reverse=True)
    for place, (value, index) in enumerate(found[:count]):
        near = math.isclose(value, ranked[place], rel_tol=1e-2, abs_tol=1e-4)
        expect(near, f"class {place + 1} is {value}:{index}, expected the value {ranked[place]}")
        own = scores.values[index]
        expect(math.isclose(value, own, rel_tol=1e-2, abs_tol=1e-4), f"{value}:{index}: element {index} is {own}")


@extension("http.classification.as-binary", CLASSIFICATION, _NAME)
def as_binary(target: Target) -> None:
    """Classes can be asked for as binary data, as tritonclient does by default."""
    scores = _scores(target)
    expected = _classes(target, scores, 1)
    found = _classes(target, scores, 1, binary_data="binary_tensor_data" in target.extensions)
    expect(found.values == expected.values, f"expected {expected.values[:1]}, got {found.values[:1]}")


def _scores(target: Target) -> Output:
    """An output of numbers with at least two in a row."""
    applies(target.is_steady, "the model answers the same request differently")
    for output in target.baseline.outputs:
        is_row = len(output.shape) in {1, 2} and output.shape[-1] > 1 and len(output.values) == output.elements
        if (
            output.datatype not in {"BYTES", "BOOL", *NOT_IN_JSON}
            and is_row
            and all(math.isfinite(one) for one in output.values)
        ):
            return output
    raise CheckSkipped("no output is a row of numbers")


def _classes(target: Target, scores: Output, count: int, **more: bool) -> Output:
    wanted = [{"name": scores.name, "parameters": {"classification": count, **more}}]
    reply = read_reply(target.infer(*target.plain(outputs=wanted)), f"classification: {count}")
    expect(reply.names == [scores.name], f"expected the output {scores.name}, got {reply.names}")
    return reply.outputs[0]


def _parts(text: bytes, scores: Output) -> tuple[float, int]:
    """Value and index of a class."""
    words = text.decode("utf-8", "replace").split(":", 2)
    try:
        value, index = float(words[0]), int(words[1])
    except (IndexError, ValueError):
        raise CheckFailed(f"expected value:index[:label], got {text!r}") from None
    expect(0 <= index < scores.shape[-1], f"{text!r}: the output has {scores.shape[-1]} elements a row")
    return value, index


CHECKS = (form, order, as_binary)
