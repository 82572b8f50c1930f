"""The workloads: what is served, and what is sent."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from loadtests.raw_runtime import RawRuntime
from loadtests.request import JSON_LENGTH, binary_request, json_request, output_of
from loadtests.workloads import mlp
from loadtests.workloads.catalogue import W1, WORKLOADS, chosen
from loadtests.workloads.workload import DTYPES, Wire
from service.artifact.config import parse_config


def test_network_is_the_same_for_a_seed(tmp_path: Path) -> None:
    """W1's file has equal bytes for equal seeds, and maps [N, 64] to [N, 10]."""
    path = tmp_path / "w1.onnx"
    path.write_bytes(mlp.build())
    runtime = RawRuntime(path, threads=1)

    assert mlp.build() == path.read_bytes()
    assert mlp.build(seed=2) != path.read_bytes()
    assert (3, 10) == runtime.answer(np.zeros((3, 64), np.float32)).shape
    assert set(runtime.best_batches(W1.sample(), (1, 2), 0.001)) == {1, 2}


@pytest.mark.parametrize("name", WORKLOADS)
def test_request_holds_the_sample(name: str) -> None:
    """A workload's request holds exactly one row, with the datatype and shape that its config names."""
    workload = WORKLOADS[name]
    request = workload.request()
    length = int(request.headers.get(JSON_LENGTH, len(request.body)))
    (tensor,) = orjson.loads(request.body[:length])["inputs"]

    assert (workload.input.name, workload.input.datatype) == (tensor["name"], tensor["datatype"])
    assert [1, *workload.input.dims] == tensor["shape"]
    dtype = DTYPES[tensor["datatype"]]
    binary = workload.wire is Wire.BINARY
    found = np.frombuffer(request.body[length:], dtype) if binary else np.array(tensor["data"], dtype)
    assert np.array_equal(workload.sample().ravel(), found)
    assert binary == (len(request.body) > workload.input.size == len(request.body) - length)


def test_request_is_http() -> None:
    """A request is written with its headers, its length and its body."""
    request = json_request("/infer", "a", "x", "FP32", np.array([[0.5]], np.float32))

    assert (
        b"POST /infer HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 76\r\n\r\n"
        b'{"id":"a","inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[0.5]}]}'
    ).replace(b"76", str(len(request.body)).encode()) == request.raw("here")


def test_binary_request_names_its_sizes() -> None:
    """A binary request says how long its JSON is and how long its tensor."""
    request = binary_request("/infer", "a", "x", "UINT8", np.zeros((1, 3), np.uint8))
    length = int(request.headers[JSON_LENGTH])

    assert {"binary_data_size": 3} == orjson.loads(request.body[:length])["inputs"][0]["parameters"]
    assert b"\0\0\0" == request.body[length:]


def test_output_is_read_in_its_shape() -> None:
    """The only output of an answer is an array; an error, or two outputs, are refused."""
    output = {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}

    assert [[1, 2]] == output_of(orjson.dumps({"outputs": [output]})).tolist()
    mistakes: list[Any] = [{"error": "no"}, {"outputs": [output, output]}, [], {"outputs": [{**output, "shape": [3]}]}]
    for wrong in mistakes:
        with pytest.raises(ValueError):
            output_of(orjson.dumps(wrong))


@pytest.mark.parametrize("name", WORKLOADS)
def test_config_is_valid(name: str) -> None:
    """Each workload's config is one that the service reads, with the threads that every server gets."""
    config = parse_config(WORKLOADS[name].config(), name=WORKLOADS[name].model)

    assert WORKLOADS[name].threads == config.hone.intra_op_threads
    assert WORKLOADS[name].max_batch_size == config.max_batch_size


def test_workloads_are_chosen_by_name() -> None:
    """A list of names is taken in its order; an unknown name is an error that lists the known ones."""
    assert ["W3", "W1"] == [one.name for one in chosen("W3,W1")]
    with pytest.raises(Exception, match="W9: no such workload; there are W1, W2"):
        chosen("W1,W9")
