"""A file opened by OpenVINO as the service opens it. OpenVINO is an extra."""

from pathlib import Path
from typing import Any

import openvino


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
