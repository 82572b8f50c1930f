"""What is the same: no independent samples, so it is of one source."""

from collections.abc import Hashable, Iterable
from hashlib import blake2b

import numpy as np

from training.data.split import Array, Sources


def fingerprints(inputs: Array) -> list[bytes]:
    """Of each of the numbers `inputs` [N, ...] what only one that is the same, byte for byte, has too."""
    return [blake2b(np.ascontiguousarray(one).tobytes(), digest_size=16).digest() for one in inputs]


def common_sources(*parts: Iterable[Hashable]) -> tuple[Sources, ...]:
    """For each part the sources int64 [N] of what is in it: whatever is the same has the same, in all parts."""
    known: dict[Hashable, int] = {}
    return tuple(np.array([known.setdefault(one, len(known)) for one in part], dtype=np.int64) for part in parts)
