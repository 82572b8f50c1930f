"""An ONNX file of anybody's becomes one that needs nothing else and that the runtime here takes.

A file that the runtime takes stays as it is, but for weights in files beside it, which are taken in. One of an opset or
IR version that it doesn't take is converted, as far as ONNX can.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from onnx import external_data_helper, version_converter
from onnx.reference import ReferenceEvaluator

from service.artifact.external_data import asks_for_other_files
from service.errors import ArtifactError
from training.errors import one_line
from training.graph import nodes_of
from training.imports.converted import Converted, Original
from training.session import open_runner
from training.tracing import IR_VERSION, OPSET

MOST_BYTES = 2 * 1024**3
"""A message of Protocol Buffers can't be larger, and weights beside it aren't served."""
OLDEST_OPSET = 7
"""ONNX Runtime promises nothing for operators that are older."""
MEANWHILE = 2
"""A batch while an opset is converted; 1 might be taken for what never varies."""
STANDARD = {"", "ai.onnx"}


def load(path: Path) -> Converted:
    """The model in the file `path`. Raises ArtifactError that names what about it can't be served."""
    if not path.is_file():
        raise ArtifactError(f"{path}: isn't {'a file' if path.exists() else 'there'}")
    model = _read(path)
    _check_operators(model, path.name)
    _check_sound(model, path.name)
    if 0 < opset_of(model) < OLDEST_OPSET or _refusal(model) is not None:
        newer = of_our_opset(model, path.name)
        return Converted(model=newer, original=_by_reference(model), made_by={"onnx": onnx.__version__})
    return Converted(model=model, original=by_runtime(path, model), made_by={})


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that a model uses; 0 if it names none."""
    return next((one.version for one in model.opset_import if one.domain in STANDARD), 0)


def by_runtime(path: Path, model: onnx.ModelProto) -> Original:
    """What ONNX Runtime answers for the file `path`, which holds `model`."""
    run = open_runner(path)
    names = [one.name for one in model.graph.output]
    return lambda _, batches: [dict(zip(names, run(batch), strict=True)) for batch in batches]


def _by_reference(model: onnx.ModelProto) -> Original:
    """What ONNX's own evaluator answers, slowly: for what the runtime doesn't take."""
    evaluator = ReferenceEvaluator(model)
    outputs = [one.name for one in model.graph.output]
    return lambda inputs, batches: [
        dict(zip(outputs, evaluator.run(None, dict(zip(inputs, batch, strict=True))), strict=True)) for batch in batches
    ]


def _read(path: Path) -> onnx.ModelProto:
    """The model with all its weights, from files beside it too."""
    try:
        model = onnx.load(path, load_external_data=False)
        beside = {
            entry.value
            for tensor in model.graph.initializer
            if external_data_helper.uses_external_data(tensor)
            for entry in tensor.external_data
            if entry.key == "location"
        }
        size = path.stat().st_size + sum((path.parent / name).stat().st_size for name in beside)
        if size >= MOST_BYTES:
            raise ArtifactError(f"{path.name}: has {size / 1e9:.1f} GB with its weights, and can have 2.1 in one file")
        external_data_helper.load_external_data_for_model(model, str(path.parent))
        if asks_for_other_files(model.SerializeToString()):
            raise ArtifactError(f"{path.name}: keeps values in other files that aren't weights; save it as one file")
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ArtifactError(f"{path.name}: isn't a sound ONNX file ({one_line(error)})") from error
    except FileNotFoundError as error:
        raise ArtifactError(f"{path.name}: keeps its weights in {error.filename}, which isn't there") from error
    return model


def _check_sound(model: onnx.ModelProto, name: str) -> None:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ArtifactError(f"{name}: isn't a sound ONNX file ({one_line(error)})") from error


def _check_operators(model: onnx.ModelProto, name: str) -> None:
    """Refuse operators that the runtime has never heard of, all of them at once."""
    known = {(one.domain, one.name) for one in onnxruntime.capi.onnxruntime_pybind11_state.get_all_operator_schema()}
    known |= {(one.domain, one.name) for one in model.functions}
    used = {("" if node.domain in STANDARD else node.domain, node.op_type) for node in nodes_of(model)}
    if unknown := sorted(".".join(filter(None, one)) for one in used - known):
        text = f"operators that ONNX Runtime doesn't have: {', '.join(unknown)}"
        raise ArtifactError(f"{name}: has {text}; export it with operators of ONNX alone")


def of_our_opset(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same in the opset and IR version that Hone exports."""
    try:
        newer = _of_opset(model) if opset_of(model) not in {0, OPSET} else model
        newer.ir_version = min(newer.ir_version, IR_VERSION)
        onnx.checker.check_model(newer, full_check=True)
    except (RuntimeError, ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        text = f"is of opset {opset_of(model)}, which can't be converted to {OPSET} ({one_line(error)})"
        raise ArtifactError(f"{name}: {text}; export it with opset {OPSET}") from error
    if (refused := _refusal(newer)) is not None:
        raise ArtifactError(f"{name}: ONNX Runtime doesn't take it ({refused})")
    return newer


def _of_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in our opset. Some of ONNX's adapters want a number for each size, so a batch gets one meanwhile."""
    try:
        return version_converter.convert_version(model, OPSET)
    except RuntimeError:
        fixed = onnx.ModelProto()
        fixed.CopyFrom(model)
        for value in _beginning_with_any(fixed):
            value.type.tensor_type.shape.dim[0].dim_value = MEANWHILE
        newer = version_converter.convert_version(fixed, OPSET)
    ends = {value.name: value for value in (*newer.graph.input, *newer.graph.output)}
    for value in _beginning_with_any(model):
        ends[value.name].CopyFrom(value)
    newer.graph.ClearField("value_info")
    return newer


def _beginning_with_any(model: onnx.ModelProto) -> Sequence[onnx.ValueInfoProto]:
    """The inputs and outputs whose first axis varies."""
    values = (*model.graph.input, *model.graph.output)
    return [one for one in values for first in one.type.tensor_type.shape.dim[:1] if not first.HasField("dim_value")]


def _refusal(model: onnx.ModelProto) -> str | None:
    """Why the runtime doesn't take a model, or None."""
    try:
        open_runner(model.SerializeToString())
    except Exception as error:  # the binding raises a dozen unrelated classes
        return one_line(error)
    return None
