"""Which fields of Triton's ModelConfig are honoured, which refuse a model, and what happens to the rest.

A field that would change answers and that isn't implemented refuses the model: serving it anyway would be a lie. Any
other field that isn't implemented is named in a warning, once.
"""

from collections.abc import Iterator

from google.protobuf.message import Message

from service.errors import ArtifactError

HONOURED = frozenset(
    {
        "backend",
        "default_model_filename",
        "dynamic_batching",
        "dynamic_batching.default_priority_level",
        "dynamic_batching.default_queue_policy",
        "dynamic_batching.default_queue_policy.allow_timeout_override",
        "dynamic_batching.default_queue_policy.default_timeout_microseconds",
        "dynamic_batching.default_queue_policy.max_queue_size",
        "dynamic_batching.default_queue_policy.timeout_action",
        "dynamic_batching.max_queue_delay_microseconds",
        "dynamic_batching.preferred_batch_size",
        "dynamic_batching.priority_levels",
        "dynamic_batching.priority_queue_policy",
        "ensemble_scheduling",
        "ensemble_scheduling.max_inflight_requests",
        "ensemble_scheduling.step",
        "ensemble_scheduling.step.input_map",
        "ensemble_scheduling.step.model_name",
        "ensemble_scheduling.step.model_version",
        "ensemble_scheduling.step.output_map",
        "input",
        "input.data_type",
        "input.dims",
        "input.name",
        "input.reshape",
        "input.reshape.shape",
        "instance_group",
        "instance_group.count",
        "instance_group.gpus",
        "instance_group.kind",
        "instance_group.name",
        "max_batch_size",
        "model_transaction_policy",
        "model_transaction_policy.decoupled",
        "name",
        "output",
        "output.data_type",
        "output.dims",
        "output.label_filename",
        "output.name",
        "output.reshape",
        "output.reshape.shape",
        "parameters",
        "platform",
        "response_cache",
        "response_cache.enable",
        "sequence_batching",
        "sequence_batching.control_input",
        "sequence_batching.control_input.control",
        "sequence_batching.control_input.control.bool_false_true",
        "sequence_batching.control_input.control.data_type",
        "sequence_batching.control_input.control.fp32_false_true",
        "sequence_batching.control_input.control.int32_false_true",
        "sequence_batching.control_input.control.kind",
        "sequence_batching.control_input.name",
        "sequence_batching.direct",
        "sequence_batching.direct.max_queue_delay_microseconds",
        "sequence_batching.max_sequence_idle_microseconds",
        "sequence_batching.oldest",
        "sequence_batching.oldest.max_candidate_sequences",
        "sequence_batching.oldest.max_queue_delay_microseconds",
        "sequence_batching.oldest.preferred_batch_size",
        "sequence_batching.oldest.preserve_ordering",
        "sequence_batching.state",
        "sequence_batching.state.data_type",
        "sequence_batching.state.dims",
        "sequence_batching.state.initial_state",
        "sequence_batching.state.initial_state.data_file",
        "sequence_batching.state.initial_state.data_type",
        "sequence_batching.state.initial_state.dims",
        "sequence_batching.state.initial_state.name",
        "sequence_batching.state.initial_state.zero_data",
        "sequence_batching.state.input_name",
        "sequence_batching.state.output_name",
        "version_policy",
        "version_policy.all",
        "version_policy.latest",
        "version_policy.latest.num_versions",
        "version_policy.specific",
        "version_policy.specific.versions",
    }
)

REFUSED = {
    "batch_input": "batch inputs aren't supported",
    "batch_output": "batch outputs aren't supported",
    "cc_model_filenames": "a file per compute capability isn't supported",
    "ensemble_scheduling.step.model_namespace": "namespaces of models aren't supported",
    "input.allow_ragged_batch": "ragged batches aren't supported",
    "input.is_non_linear_format_io": "non-linear formats aren't supported",
    "input.is_shape_tensor": "shape tensors aren't supported",
    "input.optional": "optional inputs aren't supported",
    "instance_group.secondary_devices": "secondary devices aren't supported",
    "model_operations": "libraries of custom operations aren't supported",
    "model_repository_agents": "repository agents aren't supported",
    "output.is_non_linear_format_io": "non-linear formats aren't supported",
    "output.is_shape_tensor": "shape tensors aren't supported",
    "sequence_batching.iterative_sequence": "iterative sequences aren't supported yet",
}


def review(message: Message, *, source: str) -> tuple[str, ...]:
    """One warning for each field that is set and ignored, sorted. Raises ArtifactError for one that refuses."""
    paths = sorted(set(_unhonoured(message, "")))
    for path in paths:
        if path in REFUSED:
            raise ArtifactError(f"{source}: {path}: {REFUSED[path]}")
    return tuple(f"{source}: {path} isn't implemented and is ignored" for path in paths)


def _unhonoured(message: Message, prefix: str) -> Iterator[str]:
    """Paths of the fields that are set but not honoured; a field below one of them isn't reported again."""
    for field, value in message.ListFields():
        path = prefix + field.name
        if path not in HONOURED:
            yield path
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for item in value if field.is_repeated else (value,):
                yield from _unhonoured(item, path + ".")
