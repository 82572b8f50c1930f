"""A digest of a request's inputs: equal for the same tensors, and for no others."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest_inputs(update: Callable[[bytes | memoryview], object], inputs: Iterable[NDArray[Any]]) -> None:
    """Hand dtype, shape and content of each to a digest's `update`. Dtype and shape, or the lengths of BYTES, say how
    many bytes follow, so that no two lists run together alike.
    """
    for array in inputs:
        update(f"{array.dtype.str}{array.shape}".encode())
        if array.dtype.hasobject:
            elements = array.ravel().tolist()
            update(np.fromiter(map(len, elements), np.int64, len(elements)).data)
            update(b"".join(elements))
        else:
            update(np.ascontiguousarray(array).data)
