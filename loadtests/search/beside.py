"""The files of a teacher and of what was chosen for it, in turns, without a service."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from loadtests.compression.race import Arrays, Turn, answer_of, open_file, race
from loadtests.search.searched import File
from service.artifact.signature import TensorSpec
from service.backends.backend import Backend
from service.datatypes import NUMPY_DTYPES

BATCHES = (1, 8, 16, 32)
ROWS, STEP, PREFILL = "rows", "step", "prefill"
THREADS = 1
SEED = 3
TOKENS = 256
"""Ids are drawn below that: every vocabulary has as many."""


def beside(
    files: Mapping[str, File], length: int, *, rounds: int, seconds: float
) -> dict[str, dict[tuple[str, int], list[Turn]]]:
    """What each file took in each round, by the kind of work and how many rows at once.

    A decoder has two kinds: a step of one token with half a cache behind it, and the prefill of that half. Inputs are
    random; `length` is that of an axis that a file leaves open. Raises what backends raise.
    """
    calls = {name: works(open_file(one.path, one.runtime, THREADS), length) for name, one in files.items()}
    return race(calls, rounds=rounds, seconds=seconds)


def works(backend: Backend, length: int) -> dict[tuple[str, int], Callable[[], object]]:
    """What there is to do for a file."""
    inputs, answer = backend.signature.inputs, answer_of(backend)
    past = next((one for one in inputs if one.name == "past"), None)
    if past is None:
        return {(ROWS, size): partial(answer, _drawn(inputs, size, length)) for size in BATCHES}
    half = past.shape[-2] // 2
    return {
        (kind, size): partial(answer, _of_decoder(inputs, size, tokens, position))
        for kind, tokens, position in ((STEP, 1, half), (PREFILL, half, 0))
        for size in BATCHES
    }


def _of_decoder(inputs: Sequence[TensorSpec], size: int, tokens: int, position: int) -> Arrays:
    drawn = dict(zip((one.name for one in inputs), _drawn(inputs, size, tokens), strict=True))
    drawn["position"] = np.full_like(drawn["position"], position)
    return list(drawn.values())


def _drawn(inputs: Sequence[TensorSpec], size: int, length: int) -> Arrays:
    """Random arrays of so many rows: normal numbers, or whole ones that are ids, or pixels."""
    random = np.random.default_rng(SEED)
    arrays = []
    for one in inputs:
        dtype = NUMPY_DTYPES[one.datatype]
        shape = (size, *(length if side < 0 else side for side in one.shape[1:]))
        values = random.standard_normal(shape) if dtype.kind == "f" else random.integers(1, TOKENS, shape)
        arrays.append(values.astype(dtype))
    return arrays
