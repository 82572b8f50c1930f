"""ONNX Runtime in this process, without any server: what a server is measured against."""

import time
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from loadtests.tiny_mlp import INPUT, OUTPUT, WIDTHS

CEILING_SECONDS = 2.0


class RawRuntime:
    """Owns a session with one thread, set up as the servers set theirs up."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._session = _session(model, threads=1)

    def answer(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's outputs [N, 10] for [N, 64]."""
        (outputs,) = self._session.run([OUTPUT], {INPUT: inputs})
        found: NDArray[np.float32] = outputs
        return found

    def timed(self, inputs: NDArray[np.float32]) -> float:
        """Seconds that one call takes."""
        started = time.perf_counter()
        self._session.run([OUTPUT], {INPUT: inputs})
        return time.perf_counter() - started

    def ceiling(self) -> dict[str, float]:
        """Items per second that the bare runtime computes, by threads and batch size."""
        return {
            f"{threads} thread{'s' if threads > 1 else ''}, batch {batch}": _items_per_second(
                _session(self._model, threads=threads), batch
            )
            for threads, batch in ((1, 1), (1, 32), (2, 64))
        }


def _session(model: Path, *, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _items_per_second(session: onnxruntime.InferenceSession, batch: int) -> float:
    inputs = {INPUT: np.zeros((batch, WIDTHS[0]), dtype=np.float32)}
    for _ in range(50):
        session.run([OUTPUT], inputs)
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < CEILING_SECONDS:
        session.run([OUTPUT], inputs)
        done += batch
    return done / elapsed
