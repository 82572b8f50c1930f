"""What a worker is told: everything it needs to load a model and to run it, resolved by the front process.

A worker is planned twice. The first plan has no slots: the worker loads the model and answers with its signature.
The second carries the tensors as the configuration resolved them, the slots (descriptors sent along) and the batch
sizes to warm up; after its READY the worker takes RUN frames.
"""

import msgspec

from service.artifact.signature import TensorSpec


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a PLAN frame. `device` is "cpu" or "cuda:N"; dims of `inputs` and `outputs` are without the batch
    axis when `max_batch_size` is above 0, and -1 where they vary. Of its `slots` a worker is given `in_flight` batches
    at a time: on a CPU one, and another when that is nearly done. Batches have one of `batch_buckets` rows, if there
    are any; with `cuda_graphs` a GPU records a graph for each of them. `nice` is added to the process's niceness.
    """

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
    batch_buckets: tuple[int, ...] = ()
    cuda_graphs: bool = False
    nice: int = 0
    slots: int = 0
    in_flight: int = 1
    warm_batches: tuple[int, ...] = ()
    max_output_bytes: int = 256 * 1024 * 1024
