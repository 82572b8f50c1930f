"""What a worker is told: everything it needs to load a model and to run it, resolved by the front process.

A worker is planned twice. The first plan has no slots: the worker loads the model and answers with its signature.
The second carries the tensors as the configuration resolved them, the slots (descriptors sent along) and the batch
sizes to warm up; after its READY the worker takes RUN frames.
"""

import math

import msgspec

from service.artifact.signature import Signature, TensorSpec
from service.datatypes import item_bytes


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a PLAN frame. `device` is "cpu" or "cuda:N"; dims of `inputs` and `outputs` are without the batch
    axis when `max_batch_size` is above 0, and -1 where they vary."""

    backend: str
    path: str
    sha256: str = ""
    precision: str = "f32"
    device: str = "cpu"
    intra_op_threads: int = 1
    inter_op_threads: int = 1
    beat_seconds: float = 0.5
    options: dict[str, str] = {}
    max_batch_size: int = 0
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    slots: int = 0
    warm_batches: tuple[int, ...] = ()


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a READY frame: what the runtime found in the model file."""

    signature: Signature
    runtime: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a FAIL frame: one line, without paths, that may be shown to a client."""

    text: str


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a STATS frame: what the process has used so far."""

    resident_bytes: int
    cpu_seconds: float
    batches: int


_SMALLEST_SLOT = 64 * 1024
_LARGEST_SLOT = 64 * 1024 * 1024
_VARYING_DIM = 256
_BYTES_ELEMENT = 64
_PER_TENSOR = 64


def slot_bytes(plan: Plan) -> int:
    """Bytes of a slot that holds a full batch of inputs and outputs; a guess where dims vary.

    Too small a guess costs a one-shot region per batch; too large a one nothing, since memory that nobody touches is
    never allocated.
    """
    rows = max(plan.max_batch_size, 1)
    total = 0
    for spec in (*plan.inputs, *plan.outputs):
        dims = (dim if isinstance(dim, int) and dim >= 0 else _VARYING_DIM for dim in spec.dims)
        total += rows * math.prod(dims) * (item_bytes(spec.datatype) or _BYTES_ELEMENT) + _PER_TENSOR
    return max(_SMALLEST_SLOT, min(total, _LARGEST_SLOT))
