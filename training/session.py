"""An ONNX file run in this process: for parity, for golden answers, and for tests.

Figures of an image model come from the service.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.data.split import Images

Predict = Callable[[Images], NDArray[np.float32]]
Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
Stepped = tuple[Floats, Floats, Ids]
"""Logits [N, T, V], the cache [N, L, 2, H, C, D] and the positions int64 [N, 1] after a step."""
Step = Callable[[Ids, Floats, Ids], Stepped]


def open_session(path: Path, *, threads: int = 1) -> Predict:
    """A function from pixels uint8 [N, C, H, W] to probabilities float32 [N, classes], computed by the file `path`."""
    session = _session(path, threads)
    name = session.get_inputs()[0].name

    def predict(images: Images) -> NDArray[np.float32]:
        outputs: list[NDArray[np.float32]] = session.run(None, {name: images})
        return outputs[0]

    return predict


def open_stepper(path: Path, *, threads: int = 1) -> Step:
    """A function from ids int64 [N, T], cache and positions to the same and logits, computed by the file `path`."""
    session = _session(path, threads)
    inputs = [one.name for one in session.get_inputs()]

    def step(ids: Ids, past: Floats, position: Ids) -> Stepped:
        logits, cache, positions = session.run(None, dict(zip(inputs, (ids, past, position), strict=True)))
        return logits, cache, positions

    return step


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
