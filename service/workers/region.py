"""Shared memory that both sides can trust: an anonymous memfd, sealed so that nobody can shrink it under the other.

A mapped file that is truncated kills whoever touches it with SIGBUS; F_SEAL_SHRINK makes that impossible. A slot is a
region that lives as long as its worker; what doesn't fit a slot travels in a region of its own, used once.
"""

import fcntl
import math
import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.backends.plan import Plan
from service.datatypes import BYTES, encode_bytes, item_bytes
from service.workers.frames import Extent, FrameError

ALIGNMENT = 64
_SMALLEST_SLOT = 64 * 1024
_LARGEST_SLOT = 64 * 1024 * 1024
_VARYING_DIM = 256
_BYTES_ELEMENT = 64
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def aligned(size: int) -> int:
    """`size` rounded up to a cache line."""
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class Region:
    """Owns one mapping and its descriptor. The mapping goes when the last array that looks into it goes."""

    __slots__ = ("_map", "fd", "memory", "size")

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._map = mmap.mmap(fd, max(size, 1))
        self.memory = memoryview(self._map)

    @classmethod
    def create(cls, size: int) -> "Region":
        """A new sealed region of `size` bytes."""
        fd = os.memfd_create("hone", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, max(size, 1))
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            return cls(fd, size)
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def attach(cls, fd: int) -> "Region":
        """Map a region that the other side sent; takes over `fd`. Raises FrameError when it could shrink."""
        try:
            if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
                raise FrameError("a region came without its seals")
            return cls(fd, os.fstat(fd).st_size)
        except OSError as error:
            os.close(fd)
            raise FrameError(f"not a memory region: {error.strerror}") from error
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Close the descriptor; memory is returned once no array looks into it any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class TensorWriter:
    """Lays tensors one behind the other into a region, or into a new one when they don't fit.

    `pack` takes, per tensor, the arrays to be joined along the first axis, so that the rows of many requests are
    gathered by the one copy that has to be made anyway.
    """

    def __init__(self, slot: Region, start: int = 0) -> None:
        self._slot = slot
        self._start = aligned(start)

    def pack(self, datatypes: Sequence[str], groups: Sequence[Sequence[NDArray[Any]]]) -> tuple[list[Extent], Region]:
        """Extents, and the region they lie in: the slot, or a one-shot region that the caller sends and closes."""
        sources: list[Sequence[NDArray[Any]] | bytes] = []
        extents: list[Extent] = []
        offset = self._start
        for index, (datatype, group) in enumerate(zip(datatypes, groups, strict=True)):
            first = group[0]
            shape, nbytes = first.shape, first.nbytes
            if len(group) > 1:
                rows = sum([len(array) for array in group])
                shape, nbytes = (rows, *shape[1:]), sum([array.nbytes for array in group])
            source: Sequence[NDArray[Any]] | bytes = group
            if datatype == BYTES:
                source = encode_bytes(element for array in group for element in array.flat)
                nbytes = len(source)
            extents.append(Extent(index=index, datatype=datatype, shape=shape, offset=offset, nbytes=nbytes))
            sources.append(source)
            offset = aligned(offset + nbytes)
        region = self._slot if offset <= self._slot.size else self._one_shot(extents, offset)
        for extent, source in zip(extents, sources, strict=True):
            _write(region.memory, extent, source)
        return extents, region

    def _one_shot(self, extents: Sequence[Extent], end: int) -> Region:
        for extent in extents:
            extent.offset -= self._start
        return Region.create(end - self._start)


def _write(memory: memoryview, extent: Extent, source: Sequence[NDArray[Any]] | bytes) -> None:
    if isinstance(source, bytes):
        memory[extent.offset : extent.offset + extent.nbytes] = source
        return
    dtype = source[0].dtype
    target = np.frombuffer(memory, dtype, extent.nbytes // dtype.itemsize, extent.offset).reshape(extent.shape)
    if len(source) == 1:
        np.copyto(target, source[0])
    else:
        np.concatenate(source, out=target)


def slot_bytes(plan: Plan) -> int:
    """Bytes of a slot that holds a full batch of inputs and outputs; a guess where dims vary.

    Too small a guess costs a one-shot region per batch; too large a one nothing, since memory that nobody touches is
    never allocated.
    """
    return max(_SMALLEST_SLOT, min(_batch_bytes(plan), _LARGEST_SLOT))


def fits_slot(plan: Plan) -> bool:
    """Whether a full batch is small enough for a slot."""
    return _batch_bytes(plan) <= _LARGEST_SLOT


def _batch_bytes(plan: Plan) -> int:
    rows = max(plan.max_batch_size, 1)
    total = 0
    for spec in (*plan.inputs, *plan.outputs):
        dims = (dim if isinstance(dim, int) and dim >= 0 else _VARYING_DIM for dim in spec.dims)
        total += rows * math.prod(dims) * (item_bytes(spec.datatype) or _BYTES_ELEMENT) + ALIGNMENT
    return total
