"""What the tests' models compute inside the real tritonserver, in its Python backend; the config says which."""

import json
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Does what the parameter `does` of its config says."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the config."""
        config = json.loads(args["model_config"])
        self._does: str = config["parameters"]["does"]["string_value"]

    def execute(self, requests: list[Any]) -> list[Any]:
        """An answer for each request."""
        return [getattr(self, f"_{self._does}")(request) for request in requests]

    def _same(self, request: Any) -> Any:
        """Each input "x_..." that is the source of an output asked for, as that output "y_...", bit by bit."""
        given = {tensor.name().replace("x_", "y_"): tensor for tensor in request.inputs()}
        return triton.InferenceResponse([_copy(name, given[name]) for name in request.requested_output_names()])

    def _sleep(self, request: Any) -> Any:
        """Sleep for as many seconds as the largest element says, or until the request is cancelled."""
        x = triton.get_input_tensor_by_name(request, "x").as_numpy()
        until = time.monotonic() + float(np.max(x))
        while time.monotonic() < until and not request.is_cancelled():
            time.sleep(0.01)
        return triton.InferenceResponse([triton.Tensor("y", x)])

    def _fail(self, _request: Any) -> Any:
        raise ValueError("this model takes no request today")


def _copy(name: str, tensor: Any) -> Any:
    if name == "y_BF16":  # numpy doesn't know it
        return triton.Tensor.from_dlpack(name, tensor.to_dlpack())
    return triton.Tensor(name, tensor.as_numpy())
