"""ONNX Runtime in this process, without any server: what a server is measured against."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

CANDIDATES = 3
"""Batch sizes that the best is looked for among, once all of them were tried."""


class RawRuntime:
    """Owns a session with as many threads as the servers have, set up as they set theirs up."""

    def __init__(self, model: Path, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def answer(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """The network's output for a batch."""
        (output,) = self._session.run(None, {self._name: inputs})
        found: NDArray[np.float32] = output
        return found

    def timed(self, inputs: NDArray[Any]) -> float:
        """Seconds that one call takes."""
        started = time.perf_counter()
        self._session.run(None, {self._name: inputs})
        return time.perf_counter() - started

    def rate(self, row: NDArray[Any], batch: int, seconds: float) -> float:
        """Rows per second of a tight loop over batches of `row`, at least one of them."""
        inputs = np.repeat(row, batch, axis=0)
        self.timed(inputs)
        done, started = 0, time.perf_counter()
        while not done or time.perf_counter() - started < seconds:
            self._session.run(None, {self._name: inputs})
            done += batch
        return done / (time.perf_counter() - started)

    def best_batches(self, row: NDArray[Any], sizes: Sequence[int], seconds: float) -> list[int]:
        """The batch sizes that computed the most rows per second, best first, each tried for `seconds`."""
        rates = {size: self.rate(row, size, seconds) for size in sizes}
        return sorted(rates, key=lambda size: -rates[size])[:CANDIDATES]
