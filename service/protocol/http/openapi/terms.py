"""The vocabulary that schemas are written in: JSON Schema, as OpenAPI 3.1 has it."""

from collections.abc import Sequence
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SCALAR: Schema = {"type": ["string", "number", "boolean"]}
FILE: Schema = {"type": "string", "format": "binary"}


def ref(name: str, kind: str = "schemas") -> Schema:
    """A component of the document, by its name."""
    return {"$ref": f"#/components/{kind}/{name}"}


def listed(items: Schema, **bounds: int) -> Schema:
    """A list of these."""
    return {"type": "array", "items": items, **bounds}


def described(schema: Schema, text: str) -> Schema:
    """The same with a text for who reads it."""
    return {**schema, "description": text}


def optional(schema: Schema) -> Schema:
    """The same or null, which says as much as leaving it out."""
    return {**schema, "type": [schema["type"], "null"]}


def record(properties: dict[str, Schema], *needed: str, more: Schema | bool = True) -> Schema:
    """An object with these keys, of which some are `needed`; `more`: what others may hold, False where none may be."""
    required: dict[str, Sequence[str]] = {"required": needed} if needed else {}
    others = {} if more is True else {"additionalProperties": more}
    return {"type": "object", **required, "properties": properties, **others}


def whole(properties: dict[str, Schema]) -> Schema:
    """An object in which each of these keys is there."""
    return record(properties, *properties)
