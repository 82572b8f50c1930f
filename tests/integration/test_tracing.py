"""Traces by a real server: what is in the files, and that nobody suffers where they can't be written."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.integration.served import Served, serving, write_model

PHASES = (
    "REQUEST_START",
    "QUEUE_START",
    "COMPUTE_START",
    "COMPUTE_INPUT_END",
    "COMPUTE_OUTPUT_START",
    "COMPUTE_END",
    "INFER_RESPONSE_COMPLETE",
    "REQUEST_END",
)


def ask(library: Any, client: Any, rows: int = 1, **more: Any) -> None:
    tensor = library.InferInput("x", [rows, 64], "FP32")
    tensor.set_data_from_numpy(np.zeros((rows, 64), np.float32))
    client.infer("mlp", [tensor], **more)


def clients(served: Served) -> tuple[Any, Any]:
    return (
        triton.InferenceServerClient(served.http.removeprefix("http://")),
        triton_grpc.InferenceServerClient(served.grpc),
    )


def traces(path: Path, count: int) -> list[dict[str, Any]]:
    """What is in a file once so many are."""
    return eventually(lambda: json.loads(path.read_bytes()) if path.exists() else [], count)


def eventually(read: Callable[[], list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    until = time.monotonic() + 10
    while len(found := read()) < count:
        assert time.monotonic() < until, found
        time.sleep(0.02)
    assert count == len(found)
    return found


def moments(trace: dict[str, Any]) -> dict[str, int]:
    return {moment["name"]: moment["ns"] for moment in trace["timestamps"]}


def test_traces_are_written_while_clients_say_so(tmp_path: Path) -> None:
    """Over HTTP and gRPC, alone, in parts and refused: what happened when, in its order, by Triton's names."""
    write_model(tmp_path / "models", "mlp")
    path = tmp_path / "trace.json"
    with serving(tmp_path / "models", "--trace-file", str(path)) as served:
        http, grpc = clients(served)
        ask(triton, http)
        assert not path.exists()
        settings = {"trace_level": ["TIMESTAMPS"], "trace_rate": "1"}
        assert "trace.json" == http.update_trace_settings("mlp", settings)["trace_file"]
        ask(triton, http, request_id="mine")
        ask(triton_grpc, grpc)
        ask(triton, http, rows=40)  # more than a batch
        with pytest.raises(InferenceServerException, match="is missing"):
            http.infer("mlp", [])
        first, second, third, refused = traces(path, 4)
        grpc.update_trace_settings("mlp", {"trace_level": "OFF"})
        ask(triton, http)
        http.update_trace_settings(
            settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "2", "trace_count": "3", "log_frequency": "2"}
        )
        http.update_trace_settings("mlp", {"trace_level": None, "trace_rate": None})
        for _ in range(8):
            ask(triton, http)
        assert "0" == http.get_trace_settings()["trace_count"]
        numbered = [len(traces(tmp_path / f"trace.json.{index}", count)) for index, count in enumerate((2, 1))]
        assert 0 == served.stop()

    assert [2, 1] == numbered
    assert [1, 2, 3, 4] == [trace["id"] for trace in (first, second, third, refused)]
    assert {("mlp", 1)} == {(trace["model_name"], trace["model_version"]) for trace in (first, second, third, refused)}
    assert ("mine", None) == (first["request_id"], second.get("request_id"))
    for trace, door in ((first, "HTTP"), (second, "GRPC"), (third, "HTTP")):
        found = moments(trace)
        received = "GRPC_WAITREAD" if door == "GRPC" else "HTTP_RECV"
        names = (f"{received}_START", f"{received}_END", *PHASES, f"{door}_SEND_START", f"{door}_SEND_END")
        assert set(names) == set(found)
        ordered = [found[name] for name in names]
        assert sorted(ordered) == ordered
        assert 0 < found["COMPUTE_OUTPUT_START"] - found["COMPUTE_INPUT_END"] < 5e9
    assert ["HTTP_RECV_START", "HTTP_RECV_END", "REQUEST_START", "REQUEST_END"] == list(moments(refused))
    assert 4 == len(json.loads(path.read_bytes()))


def test_a_disk_that_is_full_costs_no_request(tmp_path: Path) -> None:
    """It is said once; traces from the start need no client."""
    write_model(tmp_path, "mlp")
    flags = ("--trace-file", "/dev/full", "--trace-level", "TIMESTAMPS", "--trace-rate", "1")
    with serving(tmp_path, *flags) as served:
        http, grpc = clients(served)
        assert ["TIMESTAMPS"] == http.get_trace_settings("mlp")["trace_level"]
        for _ in range(5):
            ask(triton, http)
            ask(triton_grpc, grpc)
        served.wait_for("can't write traces")
        for _ in range(5):
            ask(triton, http)
        assert 0 == served.stop()

    assert 1 == sum(line["event"] == "can't write traces" for line in served.log)
