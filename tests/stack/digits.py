"""The committed digits as a client of the stack has them: samples that were published, and predictions."""

import numpy as np
from numpy.typing import NDArray
from tritonclient import http as triton

from tests.stack.stack import ROOT, Stack


def golden(model: str = "digits") -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The samples that were published with a model's newest version: images and their probabilities."""
    newest = max((ROOT / "models" / model).glob("[0-9]*"), key=lambda path: int(path.name))
    with np.load(newest / "golden.npz") as arrays:
        return arrays["input.image"], arrays["output.probabilities"]


def predict(stack: Stack, model: str, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities [N, 10] of images [N, 1, 24, 24], asked for through the published port."""
    tensor = triton.InferInput("image", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    with triton.InferenceServerClient(stack.address("hone", 8000)) as client:
        found: NDArray[np.float32] = client.infer(model, [tensor]).as_numpy("probabilities")
        return found


def check(stack: Stack, model: str = "digits") -> None:
    """The classes of the golden samples are the published ones, and nearly the probabilities."""
    images, expected = golden(model)

    found = predict(stack, model, images)

    np.testing.assert_array_equal(expected.argmax(1), found.argmax(1))
    np.testing.assert_allclose(expected, found, atol=0.05)  # INT8 differs a little between processors
