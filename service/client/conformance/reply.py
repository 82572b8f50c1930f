"""A successful answer to an inference request, read strictly where it has bytes and leniently where it has JSON.

What is particular about the JSON (flat data, types of elements, the number of them) has checks of its own.
"""

from dataclasses import dataclass
from typing import Any

from service.client.conformance.expectation import CheckFailed, expect
from service.client.conformance.http_client import Answer
from service.client.conformance.output import Output, described, from_json, from_raw
from service.client.conformance.question import HEADER_LENGTH


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """The JSON of the answer, and its outputs in their order."""

    document: dict[str, Any]
    outputs: tuple[Output, ...]

    @property
    def names(self) -> list[str]:
        """Of the outputs."""
        return [one.name for one in self.outputs]


def read_reply(answer: Answer, what: str) -> Reply:
    """The answer to an inference request that the server must take. Raises CheckFailed."""
    expect(answer.status == 200, f"{what}: expected 200, got {answer.brief}")
    text, rest = _parts(answer, what)
    document = Answer(status=200, headers={}, body=text).object()
    entries = document.get("outputs")
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise CheckFailed(f'{what}: expected "outputs" to be a list of objects, got {answer.brief}')
    outputs = []
    for entry in entries:
        output, rest = _output(entry, rest, what)
        outputs.append(output)
    expect(not rest, f"{what}: {len(rest)} bytes are left over behind the outputs")
    return Reply(document=document, outputs=tuple(outputs))


def _parts(answer: Answer, what: str) -> tuple[bytes, bytes]:
    """The JSON of an answer, and the bytes behind it."""
    length = answer.headers.get(HEADER_LENGTH.lower())
    if length is None:
        return answer.body, b""
    expect(
        length.isdecimal() and int(length) <= len(answer.body),
        f"{what}: {HEADER_LENGTH} is {length}, the body has {len(answer.body)} bytes",
    )
    return answer.body[: int(length)], answer.body[int(length) :]


def _output(entry: dict[str, Any], rest: bytes, what: str) -> tuple[Output, bytes]:
    """The next output, and the bytes that the others are in."""
    size = (entry.get("parameters") or {}).get("binary_data_size")
    if size is None:
        return from_json(entry), rest
    name, datatype, shape = described(entry)
    expect(
        type(size) is int and 0 <= size <= len(rest),
        f'{what}: output "{name}": binary_data_size is {size}, {len(rest)} bytes are left',
    )
    expect("data" not in entry, f'{what}: output "{name}" has binary_data_size and data')
    return from_raw(name, datatype, shape, rest[:size]), rest[size:]
