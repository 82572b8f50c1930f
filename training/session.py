"""An ONNX file run in this process: for parity, for golden answers, and for tests. Figures come from the service."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from training.data.split import Images

Predict = Callable[[Images], NDArray[np.float32]]


def open_session(path: Path, *, threads: int = 1) -> Predict:
    """A function from pixels uint8 [N, C, H, W] to probabilities float32 [N, classes], computed by the file `path`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(images: Images) -> NDArray[np.float32]:
        outputs: list[NDArray[np.float32]] = session.run(None, {name: images})
        return outputs[0]

    return predict
