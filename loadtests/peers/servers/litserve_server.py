"""LitServe: one worker, batching on, its fast queue. Its handlers get parsed JSON, never a raw body."""

from typing import Any

import litserve
import numpy as np
from numpy.typing import NDArray

from loadtests.peers.assignment import DELAY_SECONDS, assigned
from loadtests.peers.network import Network
from loadtests.peers.oip import DTYPES


class Api(litserve.LitAPI):
    """LitServe calls `decode_request` per request, `batch`, `predict`, `unbatch`, and `encode_response` per request."""

    def setup(self, device: str) -> None:
        """Once in the worker."""
        self._assignment = assigned()
        self._network = Network(self._assignment)

    def decode_request(self, request: dict[str, Any]) -> NDArray[Any]:
        """The row [*dims] of a body in the Open Inference Protocol's JSON."""
        (tensor,) = request["inputs"]
        return np.array(tensor["data"], dtype=DTYPES[tensor["datatype"]]).reshape(self._assignment.input_dims)

    def predict(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """One run for the whole batch [N, *dims]."""
        return self._network(x)

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, Any]:
        """The answer of one request."""
        head = {"name": self._assignment.output_name, "datatype": "FP32", "shape": [1, *output.shape]}
        return {"model_name": self._assignment.model, "outputs": [{**head, "data": output.ravel().tolist()}]}


if __name__ == "__main__":
    api = Api(max_batch_size=assigned().max_batch_size, batch_timeout=DELAY_SECONDS)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True, timeout=60)
    server.run(host="127.0.0.1", port=assigned().port, num_api_servers=1, generate_client_file=False, log_level="error")
