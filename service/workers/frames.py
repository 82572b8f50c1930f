"""The frames that the front process and a worker exchange: one frame is one message of a seqpacket socket.

A frame is a header, an entry per tensor, and a payload whose meaning depends on the kind. Tensor bytes aren't in it:
they lie in a shared-memory region, and an entry says where. Neither side believes the other: `decode` checks the form
of a frame, and `view_tensors` checks every entry against the region it points into.
"""

import math
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.datatypes import BYTES, DATATYPES, NUMPY_DTYPES, decode_bytes

MAX_TENSORS = 64
MAX_RANK = 16
MAX_FRAME_BYTES = 64 * 1024

_HEADER = struct.Struct("<BBHIIiI")  # kind, flags, tensors, sequence, plan, slot, payload bytes
_SEQUENCE = slice(4, 8)
_ENTRY = struct.Struct("<HBBIQQ")  # index, datatype, rank, reserved, offset, bytes
_DIM_BYTES = 8
_CODES = {datatype: code for code, datatype in enumerate(DATATYPES)}

NO_SLOT = -1


class FrameError(ValueError):
    """The other side sent something that isn't a frame, or a frame that lies about memory."""


class Kind(IntEnum):
    """What a frame says. To the worker: PLAN RUN STOP. To the front: READY RESULT FAIL BEAT."""

    PLAN = 1
    READY = 2
    RUN = 3
    RESULT = 4
    FAIL = 5
    BEAT = 6
    STOP = 7


FINAL = 1
"""Flag: no further RESULT follows for this sequence."""

ATTACHED = 2
"""Flag: the tensors lie in the memfd that is sent along. (Plain numbers, since each test of an IntFlag costs 2 us.)"""

_KINDS = {int(kind): kind for kind in Kind}


class Extent(msgspec.Struct, kw_only=True):
    """Where one tensor lies: its position among the plan's inputs or outputs, its type, its shape, its bytes."""

    index: int
    datatype: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


class Frame(msgspec.Struct, kw_only=True):
    """One message. `sequence` pairs a RESULT or FAIL with its RUN; `slot` is NO_SLOT when none is used."""

    kind: Kind
    sequence: int = 0
    plan: int = 0
    slot: int = NO_SLOT
    flags: int = 0
    tensors: Sequence[Extent] = ()
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """The frame as bytes. Raises FrameError when it exceeds what a frame may hold."""
    if len(frame.tensors) > MAX_TENSORS:
        raise FrameError(f"{len(frame.tensors)} tensors, at most {MAX_TENSORS} fit a frame")
    parts = [
        _HEADER.pack(
            frame.kind,
            frame.flags,
            len(frame.tensors),
            frame.sequence,
            frame.plan,
            frame.slot,
            len(frame.payload),
        )
    ]
    for extent in frame.tensors:
        rank = len(extent.shape)
        if rank > MAX_RANK:
            raise FrameError(f"rank {rank}, at most {MAX_RANK} fits a frame")
        parts.append(_ENTRY.pack(extent.index, _CODES[extent.datatype], rank, 0, extent.offset, extent.nbytes))
        parts.append(struct.pack(f"<{rank}q", *extent.shape))
    parts.append(frame.payload)
    data = b"".join(parts)
    if len(data) > MAX_FRAME_BYTES:
        raise FrameError(f"{len(data)} bytes, at most {MAX_FRAME_BYTES} fit a frame")
    return data


def decode(data: bytes) -> Frame:
    """The frame in `data`. Raises FrameError naming what is wrong with its form."""
    if len(data) < _HEADER.size:
        raise FrameError(f"{len(data)} bytes are too few for a header")
    code, flags, count, sequence, plan, slot, payload_bytes = _HEADER.unpack_from(data)
    kind = _KINDS.get(code)
    if kind is None:
        raise FrameError(f"unknown kind {code}")
    if count > MAX_TENSORS:
        raise FrameError(f"{count} tensors, at most {MAX_TENSORS} fit a frame")
    position = _HEADER.size
    tensors: list[Extent] = []
    for _ in range(count):
        extent, position = _decode_extent(data, position)
        tensors.append(extent)
    if len(data) - position != payload_bytes:
        raise FrameError(f"{payload_bytes} payload bytes announced, {len(data) - position} present")
    return Frame(
        kind=kind, sequence=sequence, plan=plan, slot=slot, flags=flags, tensors=tensors, payload=data[position:]
    )


def unnumbered(data: bytes) -> bytes:
    """What two encoded frames have in common that differ in their sequence only."""
    return data[: _SEQUENCE.start] + data[_SEQUENCE.stop :]


def repeat(answer: bytes, request: bytes, payload: bytes) -> bytes:
    """An encoded answer again, for another request that differs in its sequence only, with a payload as long."""
    return (
        answer[: _SEQUENCE.start] + request[_SEQUENCE] + answer[_SEQUENCE.stop : len(answer) - len(payload)] + payload
    )


def _decode_extent(data: bytes, position: int) -> tuple[Extent, int]:
    if position + _ENTRY.size > len(data):
        raise FrameError("a tensor entry is cut off")
    index, code, rank, _, offset, nbytes = _ENTRY.unpack_from(data, position)
    position += _ENTRY.size
    if code >= len(DATATYPES):
        raise FrameError(f"unknown datatype code {code}")
    if rank > MAX_RANK:
        raise FrameError(f"rank {rank}, at most {MAX_RANK} fits a frame")
    if position + rank * _DIM_BYTES > len(data):
        raise FrameError("the dimensions of a tensor are cut off")
    shape = struct.unpack_from(f"<{rank}q", data, position)
    extent = Extent(index=index, datatype=DATATYPES[code], shape=shape, offset=offset, nbytes=nbytes)
    return extent, position + rank * _DIM_BYTES


def view_tensors(extents: Sequence[Extent], memory: memoryview, count: int) -> list[NDArray[Any]]:
    """`count` arrays in the order of their index: views into `memory`, or copies for BYTES.

    Raises FrameError when an index is missing or doubled, a shape disagrees with its bytes, or an extent leaves
    `memory`.
    """
    arrays: list[NDArray[Any] | None] = [None] * count
    for extent in extents:
        if extent.index >= count or arrays[extent.index] is not None:
            raise FrameError(f"tensor index {extent.index} is out of range or doubled (of {count})")
        arrays[extent.index] = _view(extent, memory)
    present = [array for array in arrays if array is not None]
    if len(present) != count:
        raise FrameError(f"{len(present)} tensors, {count} expected")
    return present


def _view(extent: Extent, memory: memoryview) -> NDArray[Any]:
    if min(extent.shape, default=0) < 0:
        raise FrameError(f"negative dimension in {extent.shape}")
    if extent.offset + extent.nbytes > len(memory):
        raise FrameError(f"bytes {extent.offset}+{extent.nbytes} leave a region of {len(memory)}")
    elements = math.prod(extent.shape)
    if extent.datatype == BYTES:
        try:
            flat = decode_bytes(memory[extent.offset : extent.offset + extent.nbytes], elements)
        except ValueError as error:
            raise FrameError(str(error)) from error
        return flat.reshape(extent.shape)
    dtype = NUMPY_DTYPES[extent.datatype]
    if elements * dtype.itemsize != extent.nbytes:
        raise FrameError(f"shape {extent.shape} of {extent.datatype} isn't {extent.nbytes} bytes")
    return np.frombuffer(memory, dtype, elements, extent.offset).reshape(extent.shape)
