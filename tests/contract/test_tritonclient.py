"""NVIDIA's own client against both entrances."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.contract.live import Live

ARRAYS: list[tuple[str, NDArray[Any]]] = [
    ("BOOL", np.array([[True, False]])),
    ("UINT8", np.array([[1, 255]], np.uint8)),
    ("INT16", np.array([[-300, 300]], np.int16)),
    ("INT32", np.array([[-70000, 70000]], np.int32)),
    ("INT64", np.array([[-(2**60), 2**60]], np.int64)),
    ("FP16", np.array([[0.5, -2]], np.float16)),
    ("FP32", np.array([[0.1, -1e-20]], np.float32)),
    ("FP64", np.array([[0.1, 1e300]], np.float64)),
    ("BYTES", np.array([[b"abc", "\u00e4".encode()]], np.object_)),
    ("FP32", np.zeros((0, 4), np.float32)),
]
# The protocol has FP16 as binary data only.
WAYS = [
    (datatype, array, binary_in, binary_out)
    for datatype, array in ARRAYS
    for binary_in in (True, False)
    for binary_out in (True, False)
    if datatype != "FP16" or (binary_in and binary_out)
]


@pytest.fixture
def client(server: Live) -> Iterator[triton.InferenceServerClient]:
    """A client of each server."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        yield connected


def test_classes_are_asked_for(server: Live, client: triton.InferenceServerClient) -> None:
    """The client's class_count reaches the engine, for the output that it stands at."""
    tensor = triton.InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    client.infer("affine", [tensor], outputs=[triton.InferRequestedOutput("y", class_count=3)])

    assert {"y": 3} == server.engine.requests[-1].classes


@pytest.mark.parametrize("datatype,array,binary_in,binary_out", WAYS)
def test_arrays_come_back(
    client: triton.InferenceServerClient, datatype: str, array: NDArray[Any], binary_in: bool, binary_out: bool
) -> None:
    """What a model echoes is what was sent, in JSON and as binary data, in every combination."""
    tensor = triton.InferInput("x", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary_in)
    wanted = triton.InferRequestedOutput("x", binary_data=binary_out)

    result = client.infer("echo", [tensor], outputs=[wanted], request_id="7")

    assert result.get_response()["id"] == "7"
    answer = result.as_numpy("x")
    assert answer.shape == array.shape
    if datatype == "BYTES":  # the client gives text for JSON and bytes for binary data
        texts = [element.decode() if isinstance(element, bytes) else element for element in answer.flat]
        assert texts == [element.decode() for element in array.flat]
    else:
        assert answer.dtype == array.dtype
        np.testing.assert_array_equal(answer, array)


def test_the_client_knows_the_server(client: triton.InferenceServerClient) -> None:
    """Health, metadata, configuration and index are what the client expects."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("affine")
    assert client.is_model_ready("affine", "1")
    assert not client.is_model_ready("loading")
    assert client.get_server_metadata()["name"] == "hone"
    assert client.get_model_metadata("affine")["inputs"][0]["shape"] == [-1, 4]
    assert client.get_model_config("affine", "1")["max_batch_size"] == 8
    assert [entry["name"] for entry in client.get_model_repository_index()] == ["affine", "broken"]


def test_all_outputs_are_binary_by_default(client: triton.InferenceServerClient) -> None:
    """Without a list of outputs the client asks for binary data, and gets it."""
    tensor = triton.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.array([[1, 2]], np.float32))

    result = client.infer("affine", [tensor])

    np.testing.assert_array_equal(result.as_numpy("y"), [[3, 5]])


def test_several_inputs_come_in_order(client: triton.InferenceServerClient) -> None:
    """Binary and JSON inputs may be mixed, in any order."""
    arrays = [np.arange(size, dtype=np.float32).reshape(1, size) for size in (3, 5, 1, 4)]
    tensors = []
    for index, array in enumerate(arrays):
        tensor = triton.InferInput(f"x{index}", list(array.shape), "FP32")
        tensor.set_data_from_numpy(array, binary_data=index % 2 == 0)
        tensors.append(tensor)

    result = client.infer("echo", tensors)

    for index, array in enumerate(arrays):
        np.testing.assert_array_equal(result.as_numpy(f"x{index}"), array)


@pytest.mark.parametrize(
    "model,version,text", [("nobody", "", "there is no model"), ("affine", "7", "version"), ("full", "", "1024")]
)
def test_errors_reach_the_caller(client: triton.InferenceServerClient, model: str, version: str, text: str) -> None:
    """The client raises with the text of the refusal."""
    tensor = triton.InferInput("x", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.array([[1, 2]], np.float32))

    with pytest.raises(InferenceServerException, match=text):
        client.infer(model, [tensor], model_version=version)


def test_a_large_json_body_is_refused_with_advice(client: triton.InferenceServerClient) -> None:
    """Who sends too much JSON reads that binary data is the way, and binary data is."""
    array = np.zeros((1, 20000), np.float32)
    tensor = triton.InferInput("x", list(array.shape), "FP32")
    tensor.set_data_from_numpy(array, binary_data=False)
    with pytest.raises(InferenceServerException, match="send the tensors as binary data"):
        client.infer("echo", [tensor])

    tensor.set_data_from_numpy(array)
    assert client.infer("echo", [tensor]).as_numpy("x").shape == array.shape
