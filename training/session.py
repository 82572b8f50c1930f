"""An ONNX file run in this process: for parity, for golden answers, and for tests.

Figures that are told of a model come from the service.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.data.split import Images
from training.runtime import ONNX_RUNTIME, Runtime

Arrays = Sequence[NDArray[Any]]
Run = Callable[[Arrays], Arrays]
Tensors = Mapping[str, NDArray[Any]]
Predict = Callable[[Images], NDArray[np.float32]]
Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
Stepped = tuple[Floats, Floats, Ids]
"""Logits [N, T, V], the cache [N, L, 2, H, C, D] and the positions int64 [N, 1] after a step."""
Step = Callable[[Ids, Floats, Ids], Stepped]


def open_runner(model: Path | bytes, *, threads: int = 1) -> Run:
    """A function from one array for each input, in order, to one for each output, computed by a file or its bytes."""
    session = _session(model, threads)
    inputs = [one.name for one in session.get_inputs()]

    def run(arrays: Arrays) -> Arrays:
        outputs: Arrays = session.run(None, dict(zip(inputs, arrays, strict=True)))
        return outputs

    return run


def open_model(path: Path, *, threads: int = 1, runtime: Runtime = ONNX_RUNTIME) -> Callable[[Tensors], Tensors]:
    """A function from arrays by the names of all inputs to those of all outputs, computed by the file `path`."""
    if runtime != ONNX_RUNTIME:
        return _compiled(path, threads, runtime)
    session = _session(path, threads)
    names = [one.name for one in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def open_session(path: Path, *, threads: int = 1) -> Predict:
    """A function from pixels uint8 [N, C, H, W] to probabilities float32 [N, classes], computed by the file `path`."""
    run = open_runner(path, threads=threads)
    return lambda images: run([images])[0]


def open_stepper(path: Path, *, threads: int = 1) -> Step:
    """A function from ids int64 [N, T], cache and positions to the same and logits, computed by the file `path`."""
    run = open_runner(path, threads=threads)

    def step(ids: Ids, past: Floats, position: Ids) -> Stepped:
        logits, cache, positions = run([ids, past, position])
        return logits, cache, positions

    return step


def output_shapes(model: Path | bytes) -> Mapping[str, Sequence[int | str | None]]:
    """What the runtime knows of the outputs' shapes, by their names: sizes, and the names of those that vary, if any.

    An output of which the number of axes isn't known has none here.
    """
    return {one.name: one.shape for one in _session(model, 1).get_outputs()}


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """How files are run here, and in the service: every optimization, and no thread that spins."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # an error is raised as well
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(model: Path | bytes, threads: int) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])


def _compiled(path: Path, threads: int, runtime: Runtime) -> Callable[[Tensors], Tensors]:
    from training.openvino_session import compile_model  # slow to import, and few need it

    request = compile_model(path, precision=runtime.precision, threads=threads).create_infer_request()
    names = [one.any_name for one in request.model_outputs]

    def run(inputs: Tensors) -> Tensors:
        found = request.infer(dict(inputs))
        return {name: found[index].copy() for index, name in enumerate(names)}

    return run
