"""Shared memory: sealed, gathered into by one copy, and spilled from when it is too small."""

import mmap
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.signature import TensorSpec
from service.backends.plan import Plan
from service.workers.frames import FrameError, view_tensors
from service.workers.region import Region, TensorWriter, slot_bytes


def test_nobody_can_shrink_or_grow_a_region() -> None:
    """A truncated mapping would kill its readers with SIGBUS, so the kernel refuses the truncation."""
    region = Region.create(4096)
    try:
        for size in (0, 8192):
            with pytest.raises(PermissionError):
                os.ftruncate(region.fd, size)
    finally:
        region.close()


def test_a_region_without_seals_is_not_mapped() -> None:
    """Memory that its sender could still truncate is refused, and its descriptor closed."""
    fd = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, 4096)

    with pytest.raises(FrameError, match="without its seals"):
        Region.attach(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_something_else_than_memory_is_not_mapped() -> None:
    """A pipe sent in place of memory is refused."""
    reader, writer = os.pipe()
    os.close(writer)

    with pytest.raises(FrameError, match="not a memory region"):
        Region.attach(reader)


def test_both_sides_see_the_same_bytes() -> None:
    """What one mapping writes, the other reads."""
    region = Region.create(128)
    other = Region.attach(os.dup(region.fd))
    region.memory[5:8] = b"abc"

    assert b"abc" == bytes(other.memory[5:8])
    region.close()
    other.close()


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(0, 70), st.booleans())
def test_rows_of_many_requests_are_gathered_in_order(rows: list[int], start: int, fits: bool) -> None:
    """Arrays are joined along the first axis, behind `start` in the slot or in a new region when it is too small."""
    slot = Region.create(64 * 1024 if fits else 64)
    floats = [np.random.default_rng(i).normal(size=(count, 3, 2)).astype(np.float32) for i, count in enumerate(rows)]
    texts = [np.array([f"{i}:{j}".encode() for j in range(count)], dtype=object) for i, count in enumerate(rows)]

    extents, region = TensorWriter(slot, start).pack(["FP32", "BYTES"], [floats, texts])
    seen = view_tensors(extents, region.memory, 2)

    assert fits == (region is slot)
    assert not fits or extents[0].offset >= start
    np.testing.assert_array_equal(np.concatenate(floats), seen[0])
    assert np.concatenate(texts).tolist() == seen[1].tolist()
    for opened in {slot, region}:
        opened.close()


def test_tensors_begin_at_cache_lines() -> None:
    """Vector instructions load from aligned addresses."""
    slot = Region.create(4096)

    extents, _ = TensorWriter(slot, 3).pack(["UINT8"] * 3, [[np.zeros(5, np.uint8)]] * 3)

    assert [64, 128, 192] == [extent.offset for extent in extents]
    slot.close()


def test_a_slot_holds_a_full_batch_of_everything() -> None:
    """The size follows from the plan, within bounds."""
    spec = TensorSpec(name="image", datatype="FP32", dims=(3, 224, 224))
    plan = Plan(backend="fake", path="", max_batch_size=8, inputs=(spec,), outputs=(spec,))

    assert slot_bytes(plan) >= 2 * 8 * 3 * 224 * 224 * 4
    assert slot_bytes(Plan(backend="fake", path="")) >= mmap.PAGESIZE
