"""Triton's text form of a message, and its JSON: read with errors that name line and key, and shown as JSON."""

import base64
import difflib
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from google.protobuf import json_format, text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from service.errors import ArtifactError

MessageT = TypeVar("MessageT", bound=Message)

_UNKNOWN_KEY = re.compile(r'Message type "inference\.(\w+)" has no field named "([^"]*)"')
_UNKNOWN_VALUE = re.compile(r'Enum type "inference\.(\w+)" has no value named (\w+)')
_UNKNOWN_JSON_VALUE = re.compile(r"Invalid enum value (\w+) for enum type inference\.(\w+)")
_PREFIX = re.compile(r"^\d+:\d+ : ")


def read(text: str, message: MessageT, *, source: str) -> MessageT:
    """Parse `text` into `message` and return it. Raises ArtifactError: one line with source, line and culprit."""
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        line = error.GetLine()
        place = source if line is None else f"{source}:{line}"
        raise ArtifactError(f"{place}: {_explain(_PREFIX.sub('', str(error)), message.DESCRIPTOR)}") from error
    except ValueError as error:  # an enum's number that has too many bits, of which the parser says no line
        raise ArtifactError(f"{source}: {_explain(str(error), message.DESCRIPTOR)}") from error
    return message


def read_json(text: str, message: MessageT, *, source: str) -> MessageT:
    """Parse JSON into `message` and return it. Raises ArtifactError: one line with source and culprit."""
    try:
        content = orjson.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{source}: the JSON is malformed: {error}") from error
    if not isinstance(content, dict):
        raise ArtifactError(f"{source}: expected a JSON object")
    try:
        json_format.ParseDict(content, message)
    except (json_format.ParseError, RecursionError) as error:
        raise ArtifactError(f"{source}: {_explain(str(error), message.DESCRIPTOR)}") from error
    return message


def nearest(word: str, words: list[str]) -> str:
    """`, did you mean "max_batch_size"?`, or nothing when no word is near."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f', did you mean "{found[0]}"?' if found else ""


def as_json(message: Message) -> dict[str, Any]:
    """The message as Triton's HTTP front writes it: field names of the proto, 64-bit integers as numbers, enums as
    names, every scalar even where it is at its default; sub-messages and members of a oneof only where set.
    """
    return {
        field.name: _plain(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if not field.has_presence or message.HasField(field.name)
    }


def _plain(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {str(key): _scalar(entry, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_scalar(field, item) for item in value]
    return _scalar(field, value)


def _scalar(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return as_json(value)
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _explain(reason: str, root: Any) -> str:
    kinds = _descriptors(root)
    if found := _UNKNOWN_KEY.search(reason):
        kind, key = found.groups()
        fields = list(kinds[kind].fields_by_name) if kind in kinds else []
        return f'unknown key "{key}"{nearest(key, fields)}'
    if found := _UNKNOWN_VALUE.search(reason) or _UNKNOWN_JSON_VALUE.search(reason):
        kind, value = found.groups() if found.re is _UNKNOWN_VALUE else found.groups()[::-1]
        return f"unknown value {value} for a {kind}{nearest(value, _enum_values(kinds, kind))}"
    return " ".join(reason.split())


def _descriptors(root: Any) -> Mapping[str, Descriptor]:
    """Every message type that `root` can hold, by its short name."""
    found: dict[str, Descriptor] = {}
    waiting: list[Descriptor] = [root]
    while waiting:
        kind = waiting.pop()
        if kind.name not in found:
            found[kind.name] = kind
            waiting += [field.message_type for field in kind.fields if field.message_type is not None]
    return found


def _enum_values(kinds: Mapping[str, Descriptor], name: str) -> list[str]:
    enums = [field.enum_type for kind in kinds.values() for field in kind.fields if field.enum_type is not None]
    return [value for enum in enums if enum.name == name for value in enum.values_by_name]
