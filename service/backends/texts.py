"""BYTES as a runtime has them: ONNX's strings are text, the protocol's are bytes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.backends.backend import RunError


def to_texts(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The bytes of input `name` as `str`. Raises RunError where they aren't UTF-8."""
    decoded = np.empty(array.size, dtype=np.object_)
    try:
        decoded[:] = [element.decode() for element in array.flat]
    except UnicodeDecodeError as error:
        raise RunError(f"input {name!r} holds bytes that aren't UTF-8 text, which is what ONNX strings are") from error
    return decoded.reshape(array.shape)


def to_bytes(array: NDArray[Any]) -> NDArray[Any]:
    """The texts of an output as bytes."""
    encoded = np.empty(array.size, dtype=np.object_)
    encoded[:] = [element.encode() for element in array.flat]
    return encoded.reshape(array.shape)
