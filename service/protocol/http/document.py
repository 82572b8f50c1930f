"""The JSON text of an inference request as checked, typed entries.

The first parse assumes that every `data` is a flat list of numbers, which msgspec checks while it parses: no pass over
the elements is needed afterwards to tell true from 1. Any other body is parsed a second time without that assumption.
"""

import re
from typing import Any

import msgspec
import orjson

from service.errors import InvalidRequest
from service.protocol.http.bare_tokens import has_bare_tokens, parse_with_bare_tokens
from service.protocol.http.twins import refuse_twins
from service.protocol.layout import TensorHead
from service.quoting import on_one_line, quoted


class InputEntry(TensorHead):
    """One element of `inputs`; `data` may be anything, or absent."""

    data: Any = msgspec.UNSET
    parameters: dict[str, Any] | None = None


class NumericInputEntry(InputEntry):
    """An input whose data, if it has any, is a flat list of numbers."""

    data: list[int | float] | msgspec.UnsetType = msgspec.UNSET


class OutputEntry(msgspec.Struct):
    """One element of `outputs`: an output asked for, and how."""

    name: str
    parameters: dict[str, Any] | None = None


class InferDocument(msgspec.Struct):
    """The whole text. Unknown keys are ignored, as the protocol has it."""

    inputs: tuple[InputEntry, ...]
    outputs: tuple[OutputEntry, ...] | None = None
    id: str | None = None
    parameters: dict[str, Any] | None = None


class _Named(msgspec.Struct):
    name: str


class _Names(msgspec.Struct):
    """What inputs and outputs are called; nothing else of a text is looked at."""

    inputs: list[_Named] = []
    outputs: list[_Named] | None = None


class NumericInferDocument(InferDocument):
    """A text whose inputs are all numeric."""

    inputs: tuple[NumericInputEntry, ...]


_ONCE = {b'"inputs"': 1, b'"outputs"': 1, b'"id"': 1}
_LONGEST = 300
"""Characters of what a parser says, which holds the way to what it is about: a bracket for each list around it."""
_PLACE = re.compile(r"\$\.(input|output)s\[(\d+)\]")
_NUMERIC = msgspec.json.Decoder(NumericInferDocument)
_GENERAL = msgspec.json.Decoder(InferDocument)


def parse_document(text: bytes) -> InferDocument:
    """The entries of an inference request's JSON. Raises InvalidRequest that says what is wrong and where."""
    try:
        document: InferDocument = _NUMERIC.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        document = _parse_general(text)
    inputs = len(document.inputs)
    both = inputs + len(document.outputs or ())
    of_inputs = dict.fromkeys((b'"shape"', b'"datatype"', b'"data"'), inputs)
    refuse_twins(text, {**_ONCE, **of_inputs, b'"name"': both, b'"parameters"': both + 1})
    return document


def _parse_general(text: bytes) -> InferDocument:
    try:
        return _GENERAL.decode(text)
    except msgspec.ValidationError as error:
        raise _misfit(error, text) from None
    except RecursionError:
        raise InvalidRequest("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _parse_with_bare_tokens(text)


def _parse_with_bare_tokens(text: bytes) -> InferDocument:
    if not has_bare_tokens(text):
        raise _malformed(text)
    try:
        return msgspec.convert(parse_with_bare_tokens(text), InferDocument)
    except msgspec.ValidationError as error:
        raise _misfit(error, text) from None
    except RecursionError:
        raise InvalidRequest("the JSON is nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"the JSON is malformed: {_first_line(error)}") from None


def _malformed(text: bytes) -> InvalidRequest:
    """The second parser says line, column and byte where the first only says that the text is cut off."""
    if not text:
        return InvalidRequest("the body is empty, expected JSON")
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return InvalidRequest(f"the JSON is malformed: {_first_line(error)}")
    return InvalidRequest("the JSON is malformed")


def _misfit(error: msgspec.ValidationError, text: bytes) -> InvalidRequest:
    """What is wrong by its place in the JSON, and by the name of the tensor that this is in, as far as it has one."""
    said = _first_line(error)
    place = _PLACE.search(said)
    tensor = _tensor(place[1], int(place[2]), text) if place else ""
    return InvalidRequest(f"{tensor}the JSON doesn't fit the protocol: {said}")


def _tensor(role: str, index: int, text: bytes) -> str:
    try:
        if has_bare_tokens(text):
            found = msgspec.convert(parse_with_bare_tokens(text), _Names)
        else:
            found = msgspec.json.decode(text, type=_Names)
        entries = found.inputs if role == "input" else found.outputs or []
        return f"{role} {quoted(entries[index].name)}: "
    except (ValueError, RecursionError, IndexError):  # of which the first is what is malformed, or has no name
        return ""


def _first_line(error: Exception) -> str:
    return on_one_line(str(error).partition("\n")[0].replace("`", ""), _LONGEST)
