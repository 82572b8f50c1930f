"""The frame codec: what is encoded comes back, and nothing else is believed."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.datatypes import DATATYPES, NUMPY_DTYPES, encode_bytes, item_bytes
from service.workers.frames import (
    ATTACHED,
    FINAL,
    MAX_FRAME_BYTES,
    MAX_RANK,
    MAX_TENSORS,
    Extent,
    Frame,
    FrameError,
    Kind,
    decode,
    encode,
    repeat,
    unnumbered,
    view_tensors,
)

SMALL = st.integers(0, 2**16)
EXTENTS = st.builds(
    Extent,
    index=st.integers(0, 2**16 - 1),
    datatype=st.sampled_from(DATATYPES),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=MAX_RANK).map(tuple),
    offset=st.integers(0, 2**64 - 1),
    nbytes=st.integers(0, 2**64 - 1),
)
FRAMES = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    sequence=st.integers(0, 2**32 - 1),
    plan=st.integers(0, 2**32 - 1),
    slot=st.integers(-(2**31), 2**31 - 1),
    flags=st.sampled_from([0, FINAL, ATTACHED, FINAL | ATTACHED]),
    tensors=st.lists(EXTENTS, max_size=4),
    payload=st.binary(max_size=200),
)


@given(FRAMES)
def test_decode_inverts_encode(frame: Frame) -> None:
    """Any frame that fits comes back as it was."""
    assert frame == decode(encode(frame))


@given(FRAMES, st.integers(0, 2**32 - 1), st.binary(max_size=40))
def test_an_answer_repeated_is_the_answer_encoded_anew(frame: Frame, sequence: int, payload: bytes) -> None:
    """Changing sequence and payload in the encoded form is the same as encoding a frame with both changed."""
    frame.payload = bytes(len(payload))
    other = msgspec.structs.replace(frame, sequence=sequence, payload=payload)
    request = encode(Frame(kind=Kind.RUN, sequence=sequence))

    assert encode(other) == repeat(encode(frame), request, payload)
    assert unnumbered(encode(frame)) == unnumbered(encode(msgspec.structs.replace(frame, sequence=sequence)))


@given(FRAMES, st.data())
def test_a_cut_frame_is_refused(frame: Frame, data: st.DataObject) -> None:
    """No proper prefix of a frame passes for a frame."""
    encoded = encode(frame)
    cut = data.draw(st.integers(0, len(encoded) - 1))

    with pytest.raises(FrameError):
        decode(encoded[:cut])


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_decoded_but_never_crashes(garbage: bytes) -> None:
    """Arbitrary bytes either are a frame that encodes to themselves, or raise FrameError."""
    try:
        frame = decode(garbage)
    except FrameError:
        return
    assert len(garbage) == len(encode(frame))


@given(FRAMES, st.data())
def test_a_mutated_frame_never_reads_outside_its_memory(frame: Frame, data: st.DataObject) -> None:
    """Whatever a byte is changed to, looking at the tensors either works inside the region or raises FrameError."""
    encoded = bytearray(encode(frame))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255))
    memory = memoryview(bytearray(256))
    try:
        mutated = decode(bytes(encoded))
        arrays = view_tensors(mutated.tensors, memory, len(mutated.tensors))
    except FrameError:
        return
    assert all(array.nbytes <= len(memory) or array.dtype.hasobject for array in arrays)


@given(
    st.sampled_from([name for name in DATATYPES if item_bytes(name)]),
    st.lists(st.integers(0, 4), max_size=4).map(tuple),
    st.integers(0, 100),
)
def test_view_finds_what_was_written(datatype: str, shape: tuple[int, ...], offset: int) -> None:
    """A tensor is seen with its values, type and shape, wherever it lies."""
    dtype = NUMPY_DTYPES[datatype]
    values = np.arange(math.prod(shape)).astype(dtype).reshape(shape)
    memory = bytearray(offset + values.nbytes + 7)
    memory[offset : offset + values.nbytes] = values.tobytes()
    extent = Extent(index=0, datatype=datatype, shape=shape, offset=offset, nbytes=values.nbytes)

    (seen,) = view_tensors([extent], memoryview(memory), 1)

    assert (dtype, shape) == (seen.dtype, seen.shape)
    np.testing.assert_array_equal(values, seen)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"offset": 60}, "leave a region"),
        ({"nbytes": 12}, "isn't 12 bytes"),
        ({"shape": (-1, 4)}, "negative dimension"),
        ({"shape": (2**40, 2**40)}, "isn't 16 bytes"),
        ({"index": 1}, "out of range"),
        ({"datatype": "BYTES", "shape": (4,)}, "elements|element"),
    ],
)
def test_an_extent_that_lies_is_refused(change: dict[str, object], text: str) -> None:
    """An extent outside its region, or whose shape, bytes or index disagree, raises and says how."""
    fields: dict[str, object] = {"index": 0, "datatype": "FP32", "shape": (1, 4), "offset": 0, "nbytes": 16} | change
    memory = memoryview(bytearray(b"\xff" * 64))

    with pytest.raises(FrameError, match=text):
        view_tensors([Extent(**fields)], memory, 1)  # type: ignore[arg-type]


def test_doubled_and_missing_tensors_are_refused() -> None:
    """Every index is there exactly once."""
    extent = Extent(index=0, datatype="UINT8", shape=(1,), offset=0, nbytes=1)
    memory = memoryview(bytearray(8))

    with pytest.raises(FrameError, match="doubled"):
        view_tensors([extent, extent], memory, 2)
    with pytest.raises(FrameError, match="1 tensors, 2 expected"):
        view_tensors([extent], memory, 2)


def test_what_exceeds_a_frame_is_refused_by_the_sender() -> None:
    """Too many tensors, too high a rank and too long a payload never reach the socket."""
    extent = Extent(index=0, datatype="UINT8", shape=(1,) * (MAX_RANK + 1), offset=0, nbytes=1)

    with pytest.raises(FrameError, match="rank 17"):
        encode(Frame(kind=Kind.RUN, tensors=[extent]))
    with pytest.raises(FrameError, match="65 tensors"):
        encode(Frame(kind=Kind.RUN, tensors=[extent] * (MAX_TENSORS + 1)))
    with pytest.raises(FrameError, match="bytes, at most"):
        encode(Frame(kind=Kind.PLAN, payload=bytes(MAX_FRAME_BYTES)))


def test_bytes_tensors_are_copied_out() -> None:
    """BYTES elements are decoded from their length-prefixed form, in row-major order."""
    elements = [b"", b"a", b"\xff" * 5, "grün".encode()]
    raw = encode_bytes(elements)
    extent = Extent(index=0, datatype="BYTES", shape=(2, 2), offset=3, nbytes=len(raw))

    (seen,) = view_tensors([extent], memoryview(bytearray(3) + bytearray(raw)), 1)

    assert elements == seen.flatten().tolist()
    assert (2, 2) == seen.shape
