"""A file opened by OpenVINO as the service opens it. OpenVINO is an extra."""

from pathlib import Path
from typing import Any

import openvino

from service.errors import ArtifactError


def compile_model(model: Path, *, precision: str, threads: int, counting: bool = False) -> openvino.CompiledModel:
    """The file `model` for a CPU, where it may compute in `precision` (f32 or bf16); `counting` what each node takes.

    Without pinning: all processes would share one core. Raises ArtifactError if it can't be.
    """
    properties: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "PERF_COUNT": counting,
    }
    core = openvino.Core()
    try:
        return core.compile_model(core.read_model(str(model)), "CPU", properties)
    except RuntimeError as error:
        raise ArtifactError(f"OpenVINO can't compute {model.name}: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    """What it says in the end, and not where in its sources: which operators it doesn't know, if it is that."""
    said = text.partition("Summary:")[2] or text
    lines = [line.strip().removeprefix("-- ") for line in said.splitlines() if line.strip()]
    return "; ".join([line for line in lines if not line.startswith("Exception from")] or lines)
