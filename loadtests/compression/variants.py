"""What a model is made into, by Hone and by the tools nearest to it, and what each of them says meanwhile."""

import contextlib
import io
import logging
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from loadtests.compression.target import Numbers
from loadtests.peers import environment
from loadtests.peers.environment import PeerError
from loadtests.served import ROOT
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import prepare
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.errors import one_line
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime

FLOAT = "float"
HONE, PLAIN, OLIVE = "Hone", "onnxruntime.quantization", "Olive"
LIMIT_SECONDS = 900


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A float `model` to be quantized on `samples` [N, ...] of its one `input`."""

    model: Path
    input: str
    samples: NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A file of a variant, the seconds that making it took, and what the `tool` said; or why there is none.

    A tool's own start, such as importing its libraries, isn't counted.
    """

    tool: str
    path: Path
    seconds: float = 0.0
    said: str = ""
    failed: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A file `of` which it is, as `make` names them, computed by a runtime, mostly in these `numbers`."""

    of: str
    runtime: Runtime = ONNX_RUNTIME
    numbers: Numbers = "INT8"

    @property
    def name(self) -> str:
        """It tells file and runtime."""
        return self.of if self.runtime == ONNX_RUNTIME else f"{self.of}, {self.runtime}"


VARIANTS = (
    Variant(of=FLOAT, numbers="float"),
    Variant(of="static"),
    Variant(of="static, 7-bit weights"),
    Variant(of="static, one scale"),
    Variant(of="dynamic"),
    Variant(of="dynamic, one scale"),
    Variant(of=FLOAT, runtime=OPENVINO, numbers="float"),
    Variant(of=FLOAT, runtime=OPENVINO_BF16, numbers="bf16"),
    Variant(of="static", runtime=OPENVINO),
    Variant(of=f"{PLAIN} static"),
    Variant(of=f"{PLAIN} dynamic"),
    Variant(of=f"{OLIVE} static"),
    Variant(of=f"{OLIVE} dynamic"),
)
"""The first is what all others are compared with."""


def make(task: Task, folder: Path, environments: Path) -> dict[str, Made]:
    """All files of a model, in `folder`, by what they are. Olive has an environment of its own in `environments`."""
    ways: Mapping[str, tuple[str, Callable[[Task, Path], Any]]] = {
        "static": (HONE, _static),
        "static, 7-bit weights": (HONE, partial(_static, reduce_range=True)),
        "static, one scale": (HONE, partial(_static, per_channel=False)),
        "dynamic": (HONE, _dynamic),
        "dynamic, one scale": (HONE, partial(_dynamic, per_channel=False)),
        f"{PLAIN} static": (PLAIN, _plain_static),
        f"{PLAIN} dynamic": (PLAIN, _plain_dynamic),
    }
    made = {FLOAT: Made(tool=HONE, path=task.model)}
    for name, (tool, way) in ways.items():
        made[name] = _made(tool, way, task, folder / f"{name}.onnx")
    for mode in ("static", "dynamic"):
        made[f"{OLIVE} {mode}"] = _by_olive(task, mode, folder / f"olive-{mode}", environments)
    return made


def remark(said: str) -> str:
    """What a tool said of speed, in a word or two."""
    if re.search(r"slow", said, re.IGNORECASE):
        return "a warning"
    return "latencies" if re.search(r"latency", said, re.IGNORECASE) else "nothing"


def _made(tool: str, way: Callable[[Task, Path], Any], task: Task, path: Path) -> Made:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    logging.getLogger().addHandler(handler)
    started = time.perf_counter()
    try:
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(heard):
            print(way(task, path))
    except Exception as error:  # tools raise what they like
        return Made(tool=tool, path=path, said=heard.getvalue(), failed=one_line(error))
    finally:
        logging.getLogger().removeHandler(handler)
    return Made(tool=tool, path=path, seconds=time.perf_counter() - started, said=heard.getvalue())


def _static(task: Task, path: Path, *, reduce_range: bool | None = None, per_channel: bool = True) -> object:
    prepared = path.with_suffix(".prepared.onnx")
    prepare(task.model, prepared)
    ranges = calibrate(prepared, {task.input: task.samples}, CalibrationSettings())
    return static(prepared, path, ranges, reduce_range=reduce_range, per_channel=per_channel)


def _dynamic(task: Task, path: Path, *, per_channel: bool = True) -> object:
    prepared = path.with_suffix(".prepared.onnx")
    prepare(task.model, prepared)
    return dynamic(prepared, path, per_channel=per_channel)


class _Rows(CalibrationDataReader):  # type: ignore[misc] # the runtime ships no types
    """The samples, one at a time, as the runtime's tool asks for them."""

    def __init__(self, task: Task) -> None:
        self._name, self._rows = task.input, iter(task.samples)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next, or None after the last."""
        row = next(self._rows, None)
        return None if row is None else {self._name: row[np.newaxis]}


def _plain_static(task: Task, path: Path) -> None:
    """Its defaults, after the preparation that it asks for."""
    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(task.model, prepared)
    quantize_static(prepared, path, _Rows(task))


def _plain_dynamic(task: Task, path: Path) -> None:
    prepared = path.with_suffix(".prepared.onnx")
    quant_pre_process(task.model, prepared)
    quantize_dynamic(prepared, path)


def _by_olive(task: Task, mode: str, folder: Path, environments: Path) -> Made:
    folder.mkdir(parents=True)
    path = folder / "model.onnx"
    samples = folder / "samples.npz"
    arrays: Any = {task.input: task.samples}
    np.savez(samples, **arrays)
    try:
        python = environment.prepare("olive", environments)
    except PeerError as error:
        return Made(tool=OLIVE, path=path, failed=str(error))
    script = Path(__file__).with_name("olive_workflow.py")
    command = [str(python), "-I", str(script), str(task.model), str(samples), mode, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    said = done.stdout + done.stderr
    if done.returncode != 0:
        return Made(tool=OLIVE, path=path, said=said, failed=said.strip().rpartition("\n")[2])
    return Made(tool=OLIVE, path=path, seconds=float(done.stdout.strip().rpartition("\n")[2]), said=said)
