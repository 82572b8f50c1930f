"""Samples that are nearly right: what a real request becomes by a small change, or by one out of all proportion.

Bytes are changed as afl-fuzz does it (Zalewski, "Technical whitepaper for afl-fuzz": havoc and splice), JSON and
protobuf by their structure as well (Serebryany, "libprotobuf-mutator"), so that what is deep inside is reached too.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

Change: TypeAlias = Callable[[Random, bytes, bytes], bytes]
"""A sample with one thing changed; the second one is another sample to take from."""

END = b"\r\n\r\n"
"""What stands between the head and the body of a sample that is a request over HTTP."""
_MOST = 65536
"""Bytes of a sample; what grew beyond is cut."""
_EDGES = (0, 1, 2, 7, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63)
_NUMBERS = (*_EDGES, *(-edge for edge in _EDGES), 2**64 - 1, 2**64, 10**30, 10**400, 10**4200)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "y", "\x00", "a\nb", "\ud800", "é" * 300, "file:1/model.onnx", [], {}, [[]], [{}]),
    *(0.0, -0.0, 0.5, 5e-324, 1.7e308, float("nan"), float("inf"), float("-inf")),
)
_KEYS = (
    *("name", "shape", "datatype", "data", "inputs", "outputs", "parameters", "id", "binary_data_size", "binary_data"),
    *("binary_data_output", "classification", "timeout", "priority", "sequence_id", "triton_x", "instances", "b64"),
    *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size", "config", "file:1/model.onnx"),
)
_TOKENS = (
    *(b'"', b"[", b"]", b"{", b"}", b",", b":", b"-", b"\\", b"\\u", b"\\ud800", b"NaN", b"Infinity", b"null", b"true"),
    *(b"1e999", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\x00", b"\r\n", b'"id":', b'"data":[', b"BYTES", b"BOOL"),
)
_DATATYPES = (*("BOOL", "BYTES", "BF16", "FP16", "FP32", "FP64", "INT8", "INT64", "UINT8", "UINT64"), "fp32", "")
_DIGITS = re.compile(rb"-?\d+")
_WORD = re.compile(rb"\w+|[^\w\s]|\s+")


def bytes_changed(random: Random, sample: bytes, other: bytes) -> bytes:
    """A few bytes set, left out, doubled, taken from the other sample, or a piece repeated very often."""
    start = random.randint(0, len(sample))
    end = min(len(sample), start + int(random.expovariate(1 / 4)))
    piece = sample[start:end]
    match random.randrange(9):
        case 0:
            piece = random.randbytes(random.randint(0, 4))
        case 1:
            piece = random.choice(_TOKENS)
        case 2:
            piece = b""
        case 3:
            piece *= 2
        case 4:
            cut = random.randint(0, len(other))
            piece = other[cut : cut + random.randint(0, 64)]
        case 5:
            piece = random.choice(_EDGES).to_bytes(8, "little")[: random.choice((1, 2, 4, 8))]
            end = start + len(piece)
        case 6:
            return _renumbered(random, sample)
        case 7:
            return sample[:start]
        case _:
            end = min(len(sample), start + random.randint(1, 40))
            piece = sample[start:end] * 2 ** random.randint(1, 14)
    return (sample[:start] + piece[:_MOST] + sample[end:])[:_MOST]


def words_changed(random: Random, sample: bytes, other: bytes) -> bytes:
    """A word, a sign or a space of a text left out, doubled, moved or replaced."""
    words = _WORD.findall(sample)
    if not words or not random.randrange(3):
        return bytes_changed(random, sample, other)
    index = random.randrange(len(words))
    match random.randrange(4):
        case 0:
            words[index] = random.choice(_WORD.findall(other) or words)
        case 1:
            words[index] = b"%d" % random.choice(_NUMBERS[:-1])
        case 2:
            begin = random.randrange(len(words))
            words[index:index] = words[begin : begin + random.randint(1, 20)] * 2 ** random.randint(0, 8)
        case _:
            del words[index : index + random.randint(1, 5)]
    return b"".join(words)[:_MOST]


def json_changed(random: Random, sample: bytes, other: bytes) -> bytes:
    """A value or a key anywhere in a JSON text replaced, left out, doubled or put into another."""
    try:
        document = json.loads(sample)
    except (ValueError, RecursionError):
        return bytes_changed(random, sample, other)
    if not random.randrange(4):
        return bytes_changed(random, sample, other)
    places = list(_places(document))
    if not places:
        return bytes_changed(random, sample, other)
    holder, key = random.choice(places)
    match random.randrange(7):
        case 0 | 1:
            holder[key] = random.choice((random.choice(_VALUES), random.choice(_NUMBERS), random.choice(_DATATYPES)))
        case 2:
            del holder[key]
        case 3:
            above, index = random.choice(places)
            holder[key] = above[index]
        case 4:
            holder[key] = [holder[key]] * random.choice((1, 1, 2, _MOST // (len(sample) + 1)))
        case 5 if isinstance(holder, dict):
            holder[random.choice(_KEYS)] = holder.pop(key)
        case _:
            holder[key] = {random.choice(_KEYS): holder[key], random.choice(_KEYS): random.choice(_VALUES)}
    return _dumped(document) or sample


def http_changed(random: Random, sample: bytes, other: bytes) -> bytes:
    """A change to the JSON of a request, mostly with the length in its header made right again, or to anything."""
    head, _, body = sample.partition(END)
    found = re.search(rb"(?i)inference-header-content-length: (\d{1,9})", head)
    length = int(found[1]) if found else len(body)
    if not random.randrange(4):
        return bytes_changed(random, sample, other)
    if length and random.randrange(4):
        text = json_changed(random, body[:length], other.partition(END)[2])
        body = text + body[length:]
        if found and random.randrange(8):
            head = head[: found.start(1)] + b"%d" % len(text) + head[found.end(1) :]
        return head + END + body
    if random.randrange(3):
        return head + END + body[:length] + bytes_changed(random, body[length:], other)
    return words_changed(random, head, other.partition(END)[0]) + END + body


def message_changed(random: Random, sample: bytes, other: bytes) -> bytes:
    """A field anywhere in a protobuf message left out, doubled, renumbered, given other bytes or a false length."""
    fields = _fields(sample)
    if not fields or not random.randrange(6):
        return bytes_changed(random, sample, other)
    index = random.randrange(len(fields))
    tag, content = fields[index]
    match random.randrange(9):
        case 0:
            del fields[index]
        case 1:
            fields[index:index] = [fields[index]] * random.choice((1, 2, 70, 1100))
        case 2:
            fields[index] = (random.choice((tag ^ random.randrange(8), 8 * random.randint(0, 20) + tag % 8)), content)
        case 3:
            fields[index] = random.choice(_fields(other) or fields)
        case 4:
            fields[index] = (tag, random.choice(_EDGES) if isinstance(content, int) else random.choice(_TOKENS))
        case 5 if not isinstance(content, int):
            return _joined(fields[:index]) + _varint(tag) + _varint(random.choice(_EDGES)) + content
        case 6 if not isinstance(content, int):
            fields[index] = (tag, bytes_changed(random, content, other))
        case _ if not isinstance(content, int):
            fields[index] = (tag, message_changed(random, content, other))
        case _:
            fields[index] = (tag, random.choice(_EDGES))
    return _joined(fields)[:_MOST]


def _renumbered(random: Random, sample: bytes) -> bytes:
    """One of its numbers replaced by one at an edge, or by one of very many digits."""
    found = list(_DIGITS.finditer(sample))
    if not found:
        return sample
    span = random.choice(found)
    digits = b"9" * 5000 if not random.randrange(16) else b"%d" % random.choice(_NUMBERS)
    return sample[: span.start()] + digits + sample[span.end() :]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Where the values of a document lie: what holds each, and by which key; of long lists only the first few."""
    found: list[tuple[Any, Any]] = []
    waiting = [value] if isinstance(value, dict | list) else []
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else list(range(min(len(holder), 8)))
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys if isinstance(holder[key], dict | list)]
    return found


def _dumped(document: Any) -> bytes:
    """The text, empty where it would be too long, too deep, or the document holds itself."""
    try:
        text = json.dumps(document).encode()
    except (ValueError, RecursionError):
        return b""
    return text if len(text) <= _MOST else b""


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """Tag and content of each field; none for what is no message."""
    found: list[tuple[int, int | bytes]] = []
    position = 0
    try:
        while position < len(message):
            tag, position = _number(message, position)
            content, position = _number(message, position)
            if tag % 8 == 0:
                found.append((tag, content))
            elif tag % 8 == 2 and position + content <= len(message):
                found.append((tag, message[position : position + content]))
                position += content
            else:
                return []
    except IndexError:
        return []
    return found


def _joined(fields: list[tuple[int, int | bytes]]) -> bytes:
    return b"".join(
        _varint(tag) + (_varint(content) if isinstance(content, int) else _varint(len(content)) + content)
        for tag, content in fields
    )


def _number(message: bytes, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while message[position] > 127:
        value |= (message[position] & 127) << shift
        shift += 7
        position += 1
    return value | message[position] << shift, position + 1


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])
