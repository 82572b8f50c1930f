"""A torch module becomes an ONNX graph: traced, stripped of what only describes the exporting program, and checked."""

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import _C, nn
from torch.jit._trace import TracerWarning

from service.errors import ArtifactError
from training.durable import naming
from training.static_shapes import with_static_shapes

OPSET = 20
IR_VERSION = 10

OPERATOR = re.compile(r"(?:No ONNX function found for <OpOverload\(op=|Exporting the operator )'([\w.:]+)'")
"""How torch names an operator that it can't export."""
PRINTING = "_jit_onnx_log"
"""The function of torch that prints a graph."""
HARMLESS = "torch."
"""How torch's warning of a constant begins that was one: `torch.tensor results are registered as constants`."""


def trace(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> onnx.ModelProto:
    """The graph of `module` for tensors like `examples`, with these names; `axes` name those that vary: the first ones.

    A call is recorded, if nothing in it went by a value that another call may have otherwise and every operator has a
    form in ONNX; else torch.export looks for what holds of all calls, which takes ten times as long. Raises
    ArtifactError that names an operator which has no form in ONNX, or says what else stands in the way.
    """
    with suppress(ArtifactError):
        model, frozen = _recorded(module, examples, inputs, outputs, axes)
        if not frozen:
            return model
    batch = torch.export.Dim("batch")
    return follow(module, examples, inputs=inputs, outputs=outputs, dynamic_shapes=tuple({0: batch} for _ in examples))


def trace_calls(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> onnx.ModelProto:
    """The same by recording one call, whatever that freezes.

    For what torch.export takes long for: of a decoder in which two axes vary it computes with symbols for a minute,
    recording takes two seconds. A branch or a loop over what varies would be frozen, so whoever calls compares answers,
    and what torch warns of in that respect isn't repeated. Raises ArtifactError as `trace` does.
    """
    return _recorded(module, examples, inputs, outputs, axes)[0]


def _recorded(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> tuple[onnx.ModelProto, bool]:
    """What torch did before it had `torch.export`; and whether it took a value of this call for a constant."""
    with (
        _quiet(),
        _unprinted(),
        _named_operators(),
        warnings.catch_warnings(record=True, action="always") as said,
        tempfile.TemporaryDirectory() as scratch,
        naming(Path(scratch)),
    ):
        path = Path(scratch) / "model.onnx"
        torch.onnx.export(
            module,
            examples,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(named) for name, named in axes.items()},
            opset_version=OPSET,
            dynamo=False,
            verbose=False,
        )
        model = onnx.load_from_string(path.read_bytes())
    with torch.inference_mode():
        answers = module(*examples)
    _declare(model, answers if isinstance(answers, tuple) else (answers,), axes)
    model = _checked(model)
    frozen = (one for one in said if issubclass(one.category, TracerWarning))
    return model, any(not str(one.message).startswith(HARMLESS) for one in frozen)


def follow(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_shapes: tuple[Any, ...],
) -> onnx.ModelProto:
    """The same by torch.export, to which `dynamic_shapes` says what varies. Raises ArtifactError as `trace` does."""
    with _quiet(), _named_operators():
        program = torch.onnx.export(
            module,
            examples,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic_shapes,
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _checked(program.model_proto)


def _declare(model: onnx.ModelProto, answers: tuple[torch.Tensor, ...], axes: Mapping[str, Mapping[int, str]]) -> None:
    """Write the sizes of `answers` where they don't vary: who records a call loses some of them on its way."""
    for output, answer in zip(model.graph.output, answers, strict=True):
        shape = output.type.tensor_type.shape
        for place, (size, axis) in enumerate(zip(answer.shape, shape.dim, strict=True)):
            if place not in axes.get(output.name, {}):
                axis.dim_value = size


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    _strip(model)
    whole = with_static_shapes(model)
    onnx.checker.check_model(whole, full_check=True)
    return whole


def _strip(model: onnx.ModelProto) -> None:
    """Drop what describes the exporting program: it names source files of this machine and changes nothing."""
    model.ir_version = IR_VERSION
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("doc_string")
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    for part in (*model.graph.node, *values, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


@contextmanager
def _named_operators() -> Iterator[None]:
    """Say in a line what can't be exported; torch says it in pages, and names the operator at the end of its causes."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        chain: list[BaseException] = [error]
        while (cause := chain[-1].__cause__) is not None:
            chain.append(cause)
        said = [name for link in chain for name in OPERATOR.findall(str(link))]
        if said:
            text = f"no form in ONNX: {', '.join(dict.fromkeys(said))}; compute it from others"
            raise ArtifactError(f"the network can't be exported, an operator in it has {text}") from error
        text = str(chain[-1]).strip().splitlines()[0].partition(", scope:")[0]  # where in torch a node is from
        raise ArtifactError(f"the network can't be exported ({text})") from error


@contextmanager
def _unprinted() -> Iterator[None]:
    """Keep torch from printing the whole graph of a call that it can't export: its own switch for that is always on."""
    prints = getattr(_C, PRINTING)
    setattr(_C, PRINTING, lambda *_: None)
    try:
        yield
    finally:
        setattr(_C, PRINTING, prints)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about itself, during the export and nowhere else."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Deprecations between the exporter and its own dependencies: nothing that a caller could act on.
            warnings.simplefilter("ignore", category=DeprecationWarning)
            warnings.simplefilter("ignore", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
