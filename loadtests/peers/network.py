"""The assigned model in ONNX Runtime, set up as Hone's workers set it up. Runs in the peers' environments."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.peers.assignment import Assignment
from loadtests.peers.tally import Tally

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when the library is loaded

import onnxruntime


class Network:
    """Owns the session, and counts what it computes."""

    def __init__(self, assignment: Assignment) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = assignment.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(assignment.file, options, providers=["CPUExecutionProvider"])
        self._input, self._output = assignment.input_name, assignment.output_name
        self._tally = Tally(assignment.tally)

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """The output [N, *dims] of a batch [N, *dims]."""
        (output,) = self._session.run([self._output], {self._input: batch})
        found: NDArray[np.float32] = output
        self._tally.add(len(batch))
        return found
