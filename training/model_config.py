"""The `config.pbtxt` of an ONNX model, made of the tensors that its graph has: how a server of the protocol runs it."""

from collections.abc import Collection, Mapping
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from service.artifact.rewriting import PRECISION
from service.errors import ArtifactError
from training.graph import Tensor, Tensors
from training.runtime import ONNX_RUNTIME, Runtime

MAX_BATCH = 32
IDLE_MICROSECONDS = 60_000_000
MAX_SEQUENCES = 64
LABELS = "labels.txt"


def model_config(
    tensors: Tensors,
    *,
    name: str,
    family: str,
    variant: str,
    labels: Collection[str] = (),
    states: Mapping[str, str] | None = None,
    max_batch: int = MAX_BATCH,
    threads: int | None = 1,
    runtime: Runtime = ONNX_RUNTIME,
) -> str:
    """The text of `config.pbtxt` for a model with these `tensors`, published as `name`.

    It batches by its first axis, `max_batch` rows at most, or, where that is 0, not at all. An instance computes with
    so many `threads`; with None the server decides.
    `labels` are the outputs whose classes have names, in a file beside the config. `states` are the inputs that a
    server keeps for each sequence, with the outputs that they become; they begin as zeros. At most `max_batch` rows are
    joined, if the model takes batches. `threads` are those of its one instance, None for what the server thinks best.
    `runtime` computes it.
    Raises ArtifactError that names a tensor without axes, where there is no batch: no config can say it.
    """
    kept = states or {}
    config = described(
        name=name, family=family, variant=variant, max_batch=max_batch if tensors.batched else 0, threads=threads
    )
    config.backend = runtime.backend
    if runtime.precision != ONNX_RUNTIME.precision:
        config.parameters[PRECISION].string_value = runtime.precision
    for one in tensors.inputs:
        if one.name not in kept:
            _describe(config.input.add(), one, batched=tensors.batched)
    for one in tensors.outputs:
        if one.name not in kept.values():
            output = config.output.add(label_filename=LABELS if one.name in labels else "")
            _describe(output, one, batched=tensors.batched)
    if kept:
        keep_states(config, tensors, kept)
    elif tensors.batched:
        config.dynamic_batching.SetInParent()
    return written(config)


def described(*, name: str, family: str, variant: str, max_batch: int, threads: int | None) -> pb.ModelConfig:
    """What any config says, without tensors."""
    config = pb.ModelConfig(
        name=name, backend="onnxruntime", default_model_filename="model.onnx", max_batch_size=max_batch
    )
    if threads is not None:
        config.parameters["intra_op_thread_count"].string_value = str(threads)
    config.parameters["hone.family"].string_value = family
    config.parameters["hone.variant"].string_value = variant
    return config


def keep_states(config: pb.ModelConfig, tensors: Tensors, states: Mapping[str, str]) -> None:
    """Have the server keep `states`, inputs with the outputs that they become, for each of many sequences."""
    sequences = config.sequence_batching
    sequences.max_sequence_idle_microseconds = IDLE_MICROSECONDS
    sequences.oldest.max_candidate_sequences = MAX_SEQUENCES
    inputs = {one.name: one for one in tensors.inputs}
    for tensor, becomes in states.items():
        shape: dict[str, Any] = {"data_type": _datatype(inputs[tensor]), "dims": inputs[tensor].dims[1:]}
        state = sequences.state.add(input_name=tensor, output_name=becomes, **shape)
        state.initial_state.add(name="zero", zero_data=True, **shape)


def renamed(config: str, name: str) -> str:
    """The text of a config, of a model that is published as `name` too."""
    model = text_format.Parse(config, pb.ModelConfig())
    model.name = name
    return written(model)


def written(config: pb.ModelConfig) -> str:
    """The config as text."""
    return text_format.MessageToString(config, as_utf8=True)


def _describe(described: pb.ModelInput | pb.ModelOutput, tensor: Tensor, *, batched: bool) -> None:
    dims = tensor.dims[1:] if batched else tensor.dims
    if not (dims or batched):
        raise ArtifactError(f"{tensor.name}: is one number without an axis, and no config says such; reshape it to [1]")
    described.name, described.data_type = tensor.name, _datatype(tensor)
    # One number a row: a config of Triton's has at least one axis, and says where the model has none.
    described.dims.extend(dims or (1,))
    if not dims:
        described.reshape.SetInParent()


def _datatype(tensor: Tensor) -> int:
    return int(pb.DataType.Value(f"TYPE_{tensor.datatype}"))
