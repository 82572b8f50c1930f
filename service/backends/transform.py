"""A backend without a model: it makes tensors of pictures, by the steps that come with each.

Pictures come from anybody, so that they are decoded in a process that nothing but them suffers from. It takes `steps`,
a list of a card's transforms as JSON, and `content`, a file, both UINT8 [n], and gives `tensor`, its bytes as UINT8
[n], `shape` INT64 [rank], and whether it `floats` (FP32 instead of UINT8), BOOL [1].
"""

import resource
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.card import Transform
from service.artifact.picturing import PictureError, picture_tensor
from service.artifact.signature import Signature, TensorSpec
from service.backends.backend import RunError

SIGNATURE = Signature(
    inputs=(
        TensorSpec(name="steps", datatype="UINT8", dims=(-1,)),
        TensorSpec(name="content", datatype="UINT8", dims=(-1,)),
    ),
    outputs=(
        TensorSpec(name="tensor", datatype="UINT8", dims=(-1,)),
        TensorSpec(name="shape", datatype="INT64", dims=(-1,)),
        TensorSpec(name="floats", datatype="BOOL", dims=(1,)),
    ),
)
MOST_MEMORY = 2 << 30
"""Bytes of address space that the process may have: what a picture does to it, it does to nobody else."""


class TransformBackend:
    """Owns nothing."""

    def __init__(self) -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        self.signature = SIGNATURE
        self.runtime = "pillow"

    def run(
        self, names: Sequence[str], inputs: Sequence[NDArray[Any]], outputs: Sequence[str]
    ) -> Sequence[NDArray[Any]]:
        """See `Backend`."""
        given = dict(zip(names, inputs, strict=True))
        try:
            steps = msgspec.json.decode(given["steps"].tobytes(), type=tuple[Transform, ...])
            tensor = picture_tensor(given["content"].tobytes(), steps)
        except PictureError as error:
            raise RunError(str(error)) from error
        except MemoryError:
            raise RunError("the picture takes more memory than a picture may") from None
        made: dict[str, NDArray[Any]] = {
            "tensor": tensor.reshape(-1).view(np.uint8),
            "shape": np.array(tensor.shape, np.int64),
            "floats": np.array([tensor.dtype == np.float32]),
        }
        return [made[name] for name in outputs]

    def adopt(self, memory: memoryview) -> None:
        """See `Backend`: nothing is done with it."""

    def bind(
        self,
        names: Sequence[str],
        inputs: Sequence[NDArray[Any]],
        output_names: Sequence[str],
        outputs: Sequence[NDArray[Any]],
    ) -> Callable[[], None] | None:
        """See `Backend`: never."""
        del names, inputs, output_names, outputs
        return None
