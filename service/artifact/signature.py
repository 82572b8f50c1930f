"""What a model takes and gives: names, datatypes and shapes. Free of protobuf, since worker processes use it."""

from dataclasses import dataclass
from typing import TypeAlias

from service.errors import ArtifactError

Dim: TypeAlias = int | str
"""A fixed size, the name of a symbolic dimension, or -1 when nothing is known of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorSpec:
    """One input or output. `datatype` is the protocol's name for it (UINT8, FP32, BYTES ...).

    `dims` is the full shape in a `Signature`; in a model's configuration it is without the batch axis when
    `max_batch_size` is above 0, and what clients see: where the model has other dims for the same elements, `reshape`
    is those.
    """

    name: str
    datatype: str
    dims: tuple[Dim, ...]
    optional: bool = False
    reshape: tuple[int, ...] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """`dims` as the protocol writes them: -1 for whatever varies."""
        return tuple(-1 if isinstance(dim, str) else dim for dim in self.dims)

    @property
    def model_shape(self) -> tuple[int, ...]:
        """The same as the model has it."""
        return self.shape if self.reshape is None else self.reshape


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The inputs and outputs that a runtime found in a model file, in the model's own order, with full shapes."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batch_dim(self) -> str | None:
        """The symbolic first dimension that all tensors share, or None: then requests can't be joined."""
        firsts = {spec.dims[0] if spec.dims else None for spec in (*self.inputs, *self.outputs)}
        first = firsts.pop() if len(firsts) == 1 else None
        return first if isinstance(first, str) else None


def check_spec(place: str, said: TensorSpec, actual: TensorSpec, *, batched: bool) -> None:
    """Raises ArtifactError, beginning with `place`, where what a config says isn't what the model has.

    `batched` says that the config leaves out a batch axis.
    """
    if said.datatype != actual.datatype:
        raise ArtifactError(f"{place}: config says {said.datatype}, the model has {actual.datatype}")
    shape, found = said.model_shape, actual.shape
    if batched:
        if not found or found[0] != -1:
            raise ArtifactError(
                f"{place}: max_batch_size is above 0, but the model's shape {list(found)} has no batch axis"
            )
        shape = (-1, *shape)
    fits = len(shape) == len(found) and all(b in (-1, a) for a, b in zip(shape, found, strict=True))
    if not fits:
        raise ArtifactError(f"{place}: config says shape {list(shape)}, the model has {list(found)}")
