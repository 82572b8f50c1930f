"""A torch module becomes an ONNX graph: traced, stripped of what only describes the exporting program, and checked."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

OPSET = 20
IR_VERSION = 10


def trace(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_shapes: Mapping[str, Mapping[int, Any]],
) -> onnx.ModelProto:
    """The graph of `module` for tensors like `examples`, with these names; `dynamic_shapes` are torch.export's."""
    with _quiet():
        program = torch.onnx.export(
            module,
            examples,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: dict(axes) for name, axes in dynamic_shapes.items()},
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return _checked(program.model_proto)


def trace_calls(
    module: nn.Module,
    examples: tuple[torch.Tensor, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> onnx.ModelProto:
    """The same by recording one call, as torch did before it had `torch.export`; `axes` names those that vary.

    For what that takes long for: of a decoder in which two axes vary it computes with symbols for a minute, recording
    takes two seconds. A branch or a loop over what varies would be frozen, so whoever calls compares answers.
    """
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
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
        return _checked(onnx.load_from_string(path.read_bytes()))


def _checked(model: onnx.ModelProto) -> onnx.ModelProto:
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


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
