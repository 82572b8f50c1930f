"""Requests that an earlier one resembles: the same JSON but for the numbers in it.

A client mostly asks the same again with other data. What surrounds the data was parsed and checked once; where it comes
again byte for byte, only the data is read.
"""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import orjson

from service.messages import Tensor
from service.protocol.binary import Body
from service.protocol.http.document import InferDocument, InputEntry, NumericInputEntry
from service.protocol.http.wanted import Wanted
from service.protocol.layout import Layout

_KEY = b'"data"'
_SPACE = b" \t\r\n"
_ID_KEY = b'"id"'
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/+-"
_ID = re.compile(_ID_KEY + rb'[ \t\r\n]*:[ \t\r\n]*"([%b]*)"' % re.escape(_PLAIN))
_T, _F = b"tf"
_KEPT = 256
_LONGEST = 4096
"""Bytes of JSON, data left aside, that are worth keeping."""
_NOT_PLAIN = frozenset({"BOOL", "BYTES"})


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says besides its id and its tensors; `timeout` is in seconds."""

    wanted: Wanted
    parameters: Mapping[str, Any]
    timeout: float | None
    priority: int


Decoded: TypeAlias = tuple[Terms, str, tuple[Tensor, ...]]
"""Terms, id and tensors of a request."""


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    """`opening` comes before the value of the id and `rest` between that and the numbers; it is empty without an id."""

    opening: bytes
    rest: bytes
    terms: Terms
    entry: InputEntry
    layout: Layout
    pack: Callable[..., bytes]
    tail: bytes


class _Binary(msgspec.Struct, frozen=True, kw_only=True):
    terms: Terms
    parts: tuple[tuple[InputEntry, Layout, int], ...]  # with the offset behind the JSON
    size: int


class Templates:
    """Owns what is kept: by all that stands before the one list of numbers, and by the whole JSON before binary data,
    each without the value of the request's id. Most requests resemble the one before them, which is tried first.
    """

    __slots__ = ("_binary", "_latest", "_listed")

    def __init__(self) -> None:
        self._latest: _Listed | None = None
        self._listed: dict[bytes, _Listed] = {}
        self._binary: dict[bytes, _Binary] = {}

    def numbers(self, body: bytes) -> Decoded | None:
        """What a JSON body says, if it differs from an earlier one in its list of numbers and its id only.

        None also where these aren't what the shape and the datatype demand: the parser tells what is wrong.
        """
        known = self._latest
        begin = -1 if known is None else _begin_of_numbers(known, body)
        if known is None or begin < 0:
            begin = body.find(b"[", body.find(_KEY)) + 1
            known = self._listed.get(b"".join(_around_id(body[:begin])))
            if known is None:
                return None
            self._latest = known
        end = len(body) - len(known.tail)
        if end < begin or not body.endswith(known.tail):
            return None
        name = body[len(known.opening) : begin - len(known.rest)].decode() if known.rest else ""
        numbers = body[begin - 1 : end + 1]
        if _T in numbers or _F in numbers:  # true and false would be packed as 1 and 0
            return None
        entry, layout = known.entry, known.layout
        try:
            packed = known.pack(*orjson.loads(numbers))
        except (orjson.JSONDecodeError, struct.error, OverflowError):
            return None
        array = np.ndarray(entry.shape, layout.dtype, packed)
        return known.terms, name, (Tensor(name=entry.name, datatype=entry.datatype, array=array),)

    def binary(self, body: Body, text: bytes) -> Decoded | None:
        """The same of a body whose JSON is `text`, with binary data behind it that is all that differs."""
        before, after = _around_id(text)
        known = self._binary.get(before + after)
        start = len(text)
        name = text[len(before) : start - len(after)].decode()
        if known is None or known.size != len(body) - start:
            return None
        tensors = [
            Tensor(
                name=entry.name,
                datatype=entry.datatype,
                array=np.ndarray(entry.shape, layout.dtype, body, start + offset),
            )
            for entry, layout, offset in known.parts
        ]
        return known.terms, name, tuple(tensors)

    def learn(self, body: Body, text: bytes, document: InferDocument, layouts: Sequence[Layout], terms: Terms) -> None:
        """Keep a request that was found to be good, if it is of a kind that can come again.

        The id must be the only value of the only key of that name, however keys may be written.
        """
        if text.count(_ID_KEY) > 1 or b"\\" in text or (not document.id and _ID_KEY in text):
            return
        if len(text) < len(body):
            before, after = _around_id(text)
            if text[len(before) : len(text) - len(after)].decode() == (document.id or ""):
                self._learn_binary(before + after, len(body) - len(text), document.inputs, layouts, terms)
        elif len(document.inputs) == 1 and type(document.inputs[0]) is NumericInputEntry:
            self._learn_listed(text, document.id or "", document.inputs[0], layouts[0], terms)

    def _learn_listed(self, body: bytes, name: str, entry: NumericInputEntry, layout: Layout, terms: Terms) -> None:
        """The same goes for the numbers."""
        key = body.find(_KEY)
        begin = body.find(b"[", key) + 1
        end = body.find(b"]", begin)
        if layout.pack is None or entry.data is msgspec.UNSET or len(body) - (end - begin) > _LONGEST:
            return
        is_value = body[key + len(_KEY) : begin].translate(None, _SPACE) == b":["
        opening, rest = _around_id(body[:begin])
        found = body[len(opening) : begin - len(rest)].decode()
        if is_value and body.count(_KEY) == 1 and found == name:
            known = _Listed(
                opening=opening,
                rest=rest,
                terms=terms,
                entry=InputEntry(name=entry.name, shape=entry.shape, datatype=entry.datatype),
                layout=layout,
                pack=layout.pack,
                tail=body[end:],
            )
            _keep(self._listed, opening + rest, known)

    def _learn_binary(
        self, frame: bytes, size: int, entries: Sequence[InputEntry], layouts: Sequence[Layout], terms: Terms
    ) -> None:
        parts, offset = [], 0
        for entry, layout in zip(entries, layouts, strict=True):
            plain = layout.nbytes and entry.datatype not in _NOT_PLAIN and entry.data is msgspec.UNSET
            if not plain:
                return
            parts.append((entry, layout, offset))
            offset += layout.nbytes
        if offset == size and len(frame) <= _LONGEST:
            _keep(self._binary, frame, _Binary(terms=terms, parts=tuple(parts), size=size))


def _around_id(text: bytes) -> tuple[bytes, bytes]:
    """What stands before the value of the id and behind it; an id of other than plain characters counts as text."""
    found = _ID.search(text) if _ID_KEY in text else None
    if found is None:
        return text, b""
    begin, end = found.span(1)
    return text[:begin], text[end:]


def _begin_of_numbers(known: _Listed, body: bytes) -> int:
    """Where they begin in a body that is as `known` up to there, but for its id; -1 in any other."""
    opening, rest = known.opening, known.rest
    if not body.startswith(opening):
        return -1
    begin = len(opening)
    if not rest:
        return begin
    end = body.find(b'"', begin)
    if not body.startswith(rest, end) or body[begin:end].translate(None, _PLAIN):
        return -1
    return end + len(rest)


def _keep(kept: dict[bytes, Any], key: bytes, value: object) -> None:
    if len(kept) >= _KEPT:  # somebody sends something else every time: start over rather than grow
        kept.clear()
    kept[key] = value
