"""What a sequence's state is when the sequence begins: the files of a model's folder `initial_state`."""

from math import prod
from pathlib import Path

from service.artifact.sequence_batching import State
from service.datatypes import BYTES, NUMPY_DTYPES
from service.errors import ArtifactError

INITIAL_STATES = "initial_state"


def read_initial_state(path: Path, state: State, *, source: str) -> bytes:
    """The elements of `state`, [*initial_dims], one after the other, little-endian. Raises ArtifactError."""
    if state.input.datatype == BYTES:
        raise ArtifactError(f"{source}: a state of texts can't be read from a file; use zero_data: true")
    expected = prod(state.initial_dims) * NUMPY_DTYPES[state.input.datatype].itemsize
    try:
        size = path.stat().st_size
        if size == expected:
            return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{source}: can't be read, but sequence_batching names it as data_file") from error
    raise ArtifactError(
        f"{source}: has {size} bytes, {state.input.datatype} {list(state.initial_dims)} takes {expected}"
    )
