"""A file opened by OpenVINO as the service opens it. OpenVINO is an extra."""

from pathlib import Path
from typing import Any

import onnx
import openvino

from training.compression.evidence.parity import Model
from training.session import Tensors


def compile_model(model: Path, *, precision: str, threads: int, counting: bool = False) -> openvino.CompiledModel:
    """The file `model` for a CPU, where it may compute in `precision` (f32 or bf16); `counting` what each node takes.

    Without pinning: all processes would share one core.
    """
    properties: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "PERF_COUNT": counting,
    }
    core = openvino.Core()
    return core.compile_model(core.read_model(str(model)), "CPU", properties)


def open_model(model: Path, *, precision: str = "f32", threads: int = 1) -> Model:
    """A function from arrays by the names of all inputs to those of all outputs, as `training.session` has it."""
    request = compile_model(model, precision=precision, threads=threads).create_infer_request()
    names = [one.name for one in onnx.load(model, load_external_data=False).graph.output]

    def run(inputs: Tensors) -> Tensors:
        found = request.infer(dict(inputs))
        return {name: found[index].copy() for index, name in enumerate(names)}

    return run
