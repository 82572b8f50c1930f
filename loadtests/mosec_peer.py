"""The peer of W1: mosec serving the same network behind the same Open Inference Protocol body.

Runs in an environment of its own, so it imports nothing of Hone. It does what Hone does for a client: parses the JSON,
checks name, datatype, shape and element count, echoes the id, names the outputs. One worker, one intra-op thread.
"""

import os
from typing import Any

import numpy as np
import onnxruntime
import orjson
from mosec import Server, Worker
from mosec.errors import ValidationError

MODEL = os.environ["W1_MODEL"]
NAME, INPUT, OUTPUT = "mlp", "x", "y"
WIDTH, MAX_BATCH_SIZE, MAX_WAIT_MS = 64, 32, 2


class Mlp(Worker):
    """Owns the session. mosec calls `deserialize`, `forward` with the batch, and `serialize` in one process."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])

    def deserialize(self, data: bytes) -> tuple[str, np.ndarray]:
        """The id, and the input as float32 [64]; mosec answers 4xx to a ValidationError."""
        try:
            body = orjson.loads(data)
            (tensor,) = body["inputs"]
            identity = body.get("id", "")
            shape, values = tensor["shape"], tensor["data"]
            sound = tensor["name"] == INPUT and tensor["datatype"] == "FP32" and shape == [1, WIDTH]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ValidationError(str(error)) from error
        if not sound or len(values) != WIDTH:
            raise ValidationError("the input doesn't fit the model")
        return identity, np.array(values, dtype=np.float32)

    def forward(self, data: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
        """One run for the whole batch [N, 64]."""
        (outputs,) = self.session.run([OUTPUT], {INPUT: np.stack([row for _, row in data])})
        return [(identity, row) for (identity, _), row in zip(data, outputs, strict=True)]

    def serialize(self, data: tuple[str, np.ndarray]) -> bytes:
        """The answer of one request."""
        identity, row = data
        answer: dict[str, Any] = {"model_name": NAME, "model_version": "1"}
        if identity:
            answer["id"] = identity
        answer["outputs"] = [{"name": OUTPUT, "datatype": "FP32", "shape": [1, len(row)], "data": row}]
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Mlp, num=1, max_batch_size=MAX_BATCH_SIZE, max_wait_time=MAX_WAIT_MS)
    server.run()
