"""The Open Inference Protocol's bodies, as far as one row for one input goes. Runs in the peers' environments.

It does what Hone does for a client: parses the JSON, checks name, datatype, shape and size, echoes the id and names the
output. A body with binary data is a JSON head with the row's bytes behind it; how long the head is says a header, but
the row's size is known, so a server that shows its handlers no headers can take such bodies too.
"""

from math import prod
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from loadtests.peers.assignment import Assignment

DTYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype(np.float32),
    "INT64": np.dtype(np.int64),
    "UINT8": np.dtype(np.uint8),
}


class Protocol:
    """Decodes requests for one model and encodes its answers."""

    def __init__(self, assignment: Assignment) -> None:
        self._model = assignment.model
        self._input, self._output = assignment.input_name, assignment.output_name
        self._datatype, self._dims = assignment.datatype, assignment.input_dims
        self._binary = assignment.binary
        self._dtype = DTYPES[assignment.datatype]
        self._elements = prod(assignment.input_dims)
        self._bytes = self._elements * self._dtype.itemsize

    def decode(self, body: bytes) -> tuple[str, NDArray[Any]]:
        """The id, and the row [*dims]. Raises ValueError for a body that doesn't fit the model."""
        try:
            head = orjson.loads(body[: -self._bytes] if self._binary else body)
            (tensor,) = head["inputs"]
            sound = (tensor["name"], tensor["datatype"]) == (self._input, self._datatype)
            sound = sound and tensor["shape"] == [1, *self._dims]
            if self._binary:
                sound = sound and tensor["parameters"]["binary_data_size"] == self._bytes
                row = np.frombuffer(body, self._dtype, self._elements, len(body) - self._bytes)
            else:
                row = np.array(tensor["data"], dtype=self._dtype)
            identity: str = head.get("id", "")
        except (KeyError, TypeError) as error:
            raise ValueError(f"the body lacks {error}") from error
        if not sound or row.size != self._elements:
            raise ValueError("the input doesn't fit the model")
        return identity, row.reshape(self._dims)

    def encode(self, identity: str, row: NDArray[np.float32]) -> bytes:
        """The answer of one request, from its row of the output."""
        answer: dict[str, Any] = {"model_name": self._model, "model_version": "1"}
        if identity:
            answer["id"] = identity
        answer["outputs"] = [{"name": self._output, "datatype": "FP32", "shape": [1, *row.shape], "data": row.ravel()}]
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
