"""How a model is served: its config.pbtxt, in Triton's words.

`read_config` parses and checks one; `complete` fills what it leaves out (all of it, where there is none) from the
signature that a runtime found in the model file; `check_against` compares what both say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from service.artifact import pbtxt
from service.artifact.batching import DynamicBatching, read_dynamic_batching
from service.artifact.ensemble_scheduling import ENSEMBLE, EnsembleScheduling, is_ensemble, read_ensemble_scheduling
from service.artifact.generate import complete_generate, decoder_of
from service.artifact.instance_group import InstanceGroup, read_instance_groups
from service.artifact.lengths import check_lengths
from service.artifact.names import check_file_name, check_model_name
from service.artifact.parameters import HoneParameters, read_parameters
from service.artifact.reshape import check_reshapes
from service.artifact.response_caching import read_response_cache
from service.artifact.rewriting import PRECISION
from service.artifact.sequence_batching import SequenceBatching, read_sequence_batching
from service.artifact.signature import Signature, TensorSpec, check_spec
from service.artifact.triton_fields import review
from service.artifact.version_policy import VersionPolicy, read_version_policy
from service.errors import ArtifactError

DEFAULT_MODEL_FILENAME = "model.onnx"
DEFAULT_MAX_BATCH_SIZE = 32
MAX_TENSORS = 64
BACKENDS = ("onnxruntime", "openvino")
REMOTE = "remote"
"""What stands for a backend where another server computes."""

_DATATYPES = {number: name.removeprefix("TYPE_") for name, number in pb.DataType.items()} | {pb.TYPE_STRING: "BYTES"}
_NUMBERS = {name: number for number, name in _DATATYPES.items()}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What a model's config says, checked. `inputs` and `outputs` are empty until completed from the model itself.

    Dims are without the batch axis when `max_batch_size` is above 0. `parameters` holds every key as written, `hone`
    the typed ones; `warnings` name the fields that are set and ignored. With `response_cache` answers may be kept.
    `labels` are the names of an output's classes, and `initial_states` and `tokenizer` what the files hold that
    sequences and texts need, once those were read. `origin` is what errors call the config.
    """

    name: str
    backend: str
    max_batch_size: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    dynamic_batching: DynamicBatching | None
    sequence_batching: SequenceBatching | None
    instance_groups: tuple[InstanceGroup, ...]
    version_policy: VersionPolicy
    default_model_filename: str
    label_filenames: Mapping[str, str]
    parameters: Mapping[str, str]
    hone: HoneParameters
    response_cache: bool = False
    warnings: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    initial_states: Mapping[str, bytes] = field(default_factory=dict)
    tokenizer: str = field(default="", repr=False)
    ensemble_scheduling: EnsembleScheduling | None = None
    source: bytes = field(repr=False)
    origin: str = field(compare=False)

    @property
    def joining(self) -> DynamicBatching | None:
        """How requests share batches; None where they don't."""
        if self.sequence_batching and self.max_batch_size:
            return self.sequence_batching.joining
        return self.dynamic_batching

    @property
    def model_inputs(self) -> tuple[TensorSpec, ...]:
        """What the model itself takes: what clients send, and behind it what a sequence adds."""
        return (*self.inputs, *(self.sequence_batching.inputs if self.sequence_batching else ()))

    @property
    def model_outputs(self) -> tuple[TensorSpec, ...]:
        """What the model itself gives: what clients get, and behind it the states that they don't."""
        shown = {spec.name for spec in self.outputs}
        states = self.sequence_batching.states if self.sequence_batching else ()
        return (*self.outputs, *(state.output for state in states if state.output.name not in shown))

    @property
    def platform(self) -> str:
        """What the metadata routes call the platform."""
        return "onnxruntime_onnx" if self.backend == "onnxruntime" else self.backend

    @property
    def is_all(self) -> bool:
        """Whether the config is all that the repository has of a version: another server or other models compute it."""
        return bool(self.hone.remote or self.ensemble_scheduling)

    def to_json(self) -> dict[str, Any]:
        """The ModelConfig as Triton's HTTP `/config` route answers it. Treat it as read-only."""
        return self._json

    @cached_property
    def _json(self) -> dict[str, Any]:
        return pbtxt.as_json(pb.ModelConfig.FromString(self.source))


def read_config(path: Path, *, name: str) -> ModelConfig:
    """The config in the file at `path` for the model in folder `name`. Raises ArtifactError."""
    source = f"{name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{source}: can't be read as text") from error
    return parse_config(text, name=name, source=source)


def parse_config(text: str, *, name: str, source: str = "") -> ModelConfig:
    """The config written in `text` for the model in folder `name`; errors begin with `source`. Raises ArtifactError."""
    source = source or f"{name}/config.pbtxt"
    return _from_proto(pbtxt.read(text, pb.ModelConfig(), source=source), name=name, source=source)


def parse_json_config(text: str, *, name: str, source: str) -> ModelConfig:
    """The same where it is written as JSON, in which Triton tells and takes a configuration."""
    return _from_proto(pbtxt.read_json(text, pb.ModelConfig(), source=source), name=name, source=source)


def complete(config: ModelConfig | None, name: str, signature: Signature, *, max_batch_size: int = 0) -> ModelConfig:
    """`config` with inputs and outputs, where it has none, as the model's own signature says them.

    `max_batch_size` is what a remote server says, and holds where the config names neither one nor tensors. Without a
    config: batchable (`max_batch_size` 32 and dynamic batching) if all tensors share one symbolic first
    dimension. Raises ArtifactError when the config says otherwise than the model.
    """
    proto = pb.ModelConfig.FromString(config.source) if config else _default_proto(signature)
    if not (proto.max_batch_size or proto.input or proto.output):
        proto.max_batch_size = max_batch_size
    own = config.sequence_batching.names if config and config.sequence_batching else frozenset()
    for specs, written in ((signature.inputs, proto.input), (signature.outputs, proto.output)):
        if not written:
            for spec in [one for one in specs if one.name not in own]:
                dims = spec.shape[1:] if proto.max_batch_size > 0 else spec.shape
                written.add(name=spec.name, data_type=_NUMBERS[spec.datatype], dims=dims)
    source = config.origin if config else f"{name}/config.pbtxt"
    completed = _from_proto(proto, name=name, source=source)
    check_against(completed, signature)
    check_lengths(
        completed.hone.lengths,
        completed.hone.unpads,
        inputs={spec.name: _full_shape(completed, spec) for spec in completed.inputs},
        outputs={spec.name: _full_shape(completed, spec) for spec in completed.outputs},
        datatypes={spec.name: spec.datatype for spec in completed.inputs},
        batched=completed.max_batch_size > 0,
        source=source,
    )
    for role, specs in (("inputs", completed.inputs), ("outputs", completed.outputs)):
        if len(specs) > MAX_TENSORS:
            raise ArtifactError(f"{name}: {len(specs)} {role}, at most {MAX_TENSORS} can be served")
    return _with_files(completed, config) if config else completed


def with_runtime(config: ModelConfig, *, backend: str, precision: str) -> ModelConfig:
    """The same configuration for another runtime or precision."""
    proto = pb.ModelConfig.FromString(config.source)
    proto.backend, proto.platform = backend, ""
    proto.parameters[PRECISION].string_value = precision
    return _with_files(_from_proto(proto, name=config.name, source=config.origin), config)


def decoder_config(config: ModelConfig) -> ModelConfig:
    """That of the model which computes the tokens of a model that writes texts."""
    proto = decoder_of(pb.ModelConfig.FromString(config.source))
    return _with_files(_from_proto(proto, name=config.name, source=config.origin), config)


def text_config(config: ModelConfig) -> ModelConfig:
    """What clients see of a model that writes texts: one a request, though its decoder's steps share batches."""
    proto = pb.ModelConfig.FromString(config.source)
    proto.max_batch_size = min(proto.max_batch_size, 1)
    return replace(config, max_batch_size=proto.max_batch_size, source=proto.SerializeToString(deterministic=True))


def check_against(config: ModelConfig, signature: Signature) -> None:
    """Raises ArtifactError, naming the tensor and what both say, where config and model differ."""
    sides = (("input", config.model_inputs, signature.inputs), ("output", config.model_outputs, signature.outputs))
    for role, said, found in sides:
        actual = {spec.name: spec for spec in found}
        for spec in said:
            place = f'{config.origin}: {role} "{spec.name}"'
            if spec.name not in actual:
                raise ArtifactError(f"{place}: the model has no such {role}{pbtxt.nearest(spec.name, list(actual))}")
            check_spec(place, spec, actual[spec.name], batched=config.max_batch_size > 0)
    missing = {spec.name for spec in signature.inputs} - {spec.name for spec in config.model_inputs}
    if missing:
        raise ArtifactError(f'{config.origin}: input "{min(missing)}" of the model is missing')


def _with_files(config: ModelConfig, other: ModelConfig) -> ModelConfig:
    """With what the files hold that `other` names."""
    return replace(config, labels=other.labels, initial_states=other.initial_states, tokenizer=other.tokenizer)


def _full_shape(config: ModelConfig, spec: TensorSpec) -> tuple[int, ...]:
    return (-1, *spec.shape) if config.max_batch_size > 0 else spec.shape


def _default_proto(signature: Signature) -> pb.ModelConfig:
    if signature.batch_dim is None:
        return pb.ModelConfig(backend="onnxruntime")
    batching = pb.ModelDynamicBatching()
    return pb.ModelConfig(backend="onnxruntime", max_batch_size=DEFAULT_MAX_BATCH_SIZE, dynamic_batching=batching)


def _from_proto(proto: pb.ModelConfig, *, name: str, source: str) -> ModelConfig:
    """Checks `proto`, writes Triton's defaults into it, and says it in our nouns."""
    response_cache, warnings = read_response_cache(proto, source=source)
    warnings += review(proto, source=source)
    if proto.name not in ("", name):
        raise ArtifactError(f'{source}: name is "{proto.name}", but the folder is "{name}"')
    if proto.max_batch_size < 0:
        raise ArtifactError(f"{source}: max_batch_size is {proto.max_batch_size}, expected 0 or above")
    proto.name = check_model_name(name)
    proto.backend = _backend(proto, source)
    if proto.backend == "onnxruntime":
        proto.platform = "onnxruntime_onnx"
    proto.default_model_filename = check_file_name(proto.default_model_filename or DEFAULT_MODEL_FILENAME, source)
    parameters = {key: value.string_value for key, value in proto.parameters.items()}
    hone = read_parameters(parameters, source=source, max_batch_size=proto.max_batch_size)
    complete_generate(proto, hone.generate, source=source)
    check_reshapes(proto, ours=proto.backend in BACKENDS and not hone.generate, source=source)
    return ModelConfig(
        name=name,
        backend=proto.backend,
        max_batch_size=proto.max_batch_size,
        inputs=_tensors("input", proto.input, source),
        outputs=_tensors("output", proto.output, source),
        dynamic_batching=read_dynamic_batching(
            proto.dynamic_batching, max_batch_size=proto.max_batch_size, source=source, remote=proto.backend == REMOTE
        )
        if proto.HasField("dynamic_batching")
        else None,
        sequence_batching=read_sequence_batching(
            proto.sequence_batching, max_batch_size=proto.max_batch_size, datatypes=_DATATYPES, source=source
        )
        if proto.HasField("sequence_batching")
        else None,
        instance_groups=read_instance_groups(proto.instance_group, source=source),
        version_policy=read_version_policy(proto, source=source),
        default_model_filename=proto.default_model_filename,
        label_filenames={o.name: check_file_name(o.label_filename, source) for o in proto.output if o.label_filename},
        parameters=parameters,
        hone=hone,
        response_cache=response_cache,
        warnings=warnings,
        ensemble_scheduling=read_ensemble_scheduling(proto, name=name, source=source),
        source=proto.SerializeToString(deterministic=True),
        origin=source,
    )


def _backend(proto: pb.ModelConfig, source: str) -> str:
    if "hone.remote" in proto.parameters:
        if proto.backend not in ("", REMOTE) or proto.platform:
            raise ArtifactError(f"{source}: hone.remote: another server computes, so leave backend and platform out")
        if proto.HasField("sequence_batching"):
            raise ArtifactError(f"{source}: sequence_batching: sequences of a remote model aren't supported")
        return REMOTE
    if is_ensemble(proto, source=source):
        return ENSEMBLE
    by_platform = {"onnxruntime_onnx": "onnxruntime", "": "onnxruntime"}
    name: str = proto.backend or by_platform.get(proto.platform, proto.platform)
    if name not in BACKENDS:
        raise ArtifactError(f'{source}: backend "{name}" isn\'t one of {", ".join(BACKENDS)}')
    return name


def _tensors(role: str, written: Iterable[pb.ModelInput | pb.ModelOutput], source: str) -> tuple[TensorSpec, ...]:
    found: dict[str, TensorSpec] = {}
    for item in written:
        place = f'{source}: {role} "{item.name}"'
        if not item.name or item.name in found:
            raise ArtifactError(f"{place}: {'is given twice' if item.name else 'has no name'}")
        if item.data_type not in _DATATYPES or item.data_type == pb.TYPE_INVALID:
            raise ArtifactError(f"{place}: data_type is missing")
        if any(dim < -1 or dim == 0 for dim in item.dims):
            raise ArtifactError(f"{place}: dims are {list(item.dims)}, expected numbers above 0, or -1")
        found[item.name] = TensorSpec(
            name=item.name,
            datatype=_DATATYPES[item.data_type],
            dims=tuple(item.dims),
            optional=isinstance(item, pb.ModelInput) and item.optional,
            reshape=tuple(item.reshape.shape) if item.HasField("reshape") else None,
        )
    return tuple(found.values())
