"""A client of the served digits, as anybody would write one with tritonclient."""

import time
from types import TracebackType
from typing import Any, Self

import numpy as np
import tritonclient.http as triton
from numpy.typing import NDArray

MODEL = "digits"


class DigitsClient:
    """Owns one connection to the server."""

    def __init__(self, port: int) -> None:
        self._client = triton.InferenceServerClient(f"127.0.0.1:{port}")
        described = self._client.get_model_metadata(MODEL)
        self._input: str = described["inputs"][0]["name"]
        self._output: str = described["outputs"][0]["name"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def classify(self, image: NDArray[np.uint8]) -> tuple[list[float], float]:
        """The ten probabilities of one image [1, side, side], and the seconds until they were there."""
        started = time.perf_counter()
        tensor = triton.InferInput(self._input, [1, *image.shape], "UINT8")
        tensor.set_data_from_numpy(image[np.newaxis])
        answer = self._client.infer(MODEL, [tensor])
        probabilities: list[float] = answer.as_numpy(self._output)[0].tolist()
        return probabilities, time.perf_counter() - started

    def json_body(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """A request for the same in JSON."""
        shape = [1, *image.shape]
        return {"inputs": [{"name": self._input, "shape": shape, "datatype": "UINT8", "data": image.ravel().tolist()}]}
