"""BF16, which numpy has no type for: as bits in arrays, as values of its own in a runtime."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

BFLOAT16 = 16
"""ONNX's number of the type."""


def bits_of(value: Any) -> NDArray[np.uint16]:
    """A copy of the bits of ONNX Runtime's BF16 value, which must lie in the machine's own memory."""
    size = value.tensor_size_in_bytes()
    content = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(content, np.uint16).reshape(value.shape())
