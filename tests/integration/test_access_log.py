"""What a real server logs of requests: who asked what, and nothing of what they sent."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from tests.integration.alphabet import write_alphabet
from tests.integration.served import serving, write_model
from tests.telemetry.collector import collecting

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
MARK = "PAYLOAD-c0ffee"
NUMBER = 31337.25


def body(**more: Any) -> Any:
    data = [NUMBER] * 64
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": data}]} | more


def ask(address: str, model: str = "mlp", **more: Any) -> None:
    tensor = triton_grpc.InferInput("x", [1, 64], "FP32")
    tensor.set_data_from_numpy(np.full((1, 64), NUMBER, np.float32))
    with triton_grpc.InferenceServerClient(address) as client:
        client.infer(model, [tensor], **more)


def test_every_request_has_a_line(tmp_path: Path) -> None:
    """With its id and the id of its trace, though nothing is traced here; others than inference have theirs, too."""
    write_model(tmp_path, "mlp")
    with serving(tmp_path, "--access-log") as served:
        infer = served.http + "/v2/models/mlp/infer"
        httpx.post(infer, json=body(id="one"), headers=CALLER)
        httpx.post(infer, content=iter([json.dumps(body(id="two")).encode()]))
        ask(served.grpc, request_id="three", headers=CALLER)
        httpx.post(served.http + "/v1/models/mlp:predict", json={"instances": [[NUMBER] * 64]})
        httpx.post(infer, json={"inputs": []})
        httpx.get(served.http + "/v2/health/ready")
        assert 0 == served.stop()

    lines = [line for line in served.log if line["event"] == "access"]
    assert [
        ("/v2/models/mlp/infer", 200, "ok", "one", TRACE),
        ("/v2/models/mlp/infer", 200, "ok", "two", None),
        ("inference.GRPCInferenceService/ModelInfer", "OK", "ok", "three", TRACE),
        ("/v1/models/mlp:predict", 200, "ok", None, None),
        ("/v2/models/mlp/infer", 400, "client_error", None, None),
        ("/v2/health/ready", 200, None, None, None),
    ] == [
        (line.get("path") or line["rpc"], line["status"], *map(line.get, ("outcome", "request_id", "trace_id")))
        for line in lines
    ]
    assert ["1"] * 4 == [line["version"] for line in lines[:4]]
    assert "invalid_request" == lines[4]["reason"]
    assert all(0 < line["ms"] < 10_000 and line["level"] == "info" for line in lines)
    assert all(line["bytes_in"] > 0 and line["bytes_out"] > 0 for line in lines[:5])
    assert sorted(line["timestamp"] for line in lines) == [line["timestamp"] for line in lines]


def test_a_log_that_is_not_read_slows_nobody(tmp_path: Path) -> None:
    """Neither requests, nor what the server does itself and tells of, nor its end."""
    write_model(tmp_path, "mlp")
    with serving(tmp_path, "--access-log") as served, httpx.Client(base_url=served.http, timeout=10) as client:
        infer = "/v2/models/mlp/infer"
        served.reads.clear()
        for _ in range(2_000):  # some 600 kB, of which a pipe takes 64 KiB
            assert 200 == client.post(infer, json=body()).status_code
        os.kill(served.workers()[0], signal.SIGKILL)  # of which the server writes a line
        until = time.monotonic() + 30
        while client.post(infer, json=body()).status_code != 200:
            assert time.monotonic() < until
        assert 200 == client.get("/v2/health/live").status_code

        begun = time.monotonic()
        assert 0 == served.stop()
        assert time.monotonic() - begun < 15
        served.reads.set()


def test_nothing_that_a_request_holds_is_told(tmp_path: Path) -> None:
    """Neither in lines nor in spans: tensors, texts, parameters, names of tensors, headers and bodies that are no JSON,
    answered or refused, at every door.
    """
    write_model(tmp_path, "mlp")
    write_alphabet(tmp_path, "abc")
    with collecting() as collected:
        flags = ("--access-log", "--log-level", "debug", "--otlp-endpoint", collected.url)
        with serving(tmp_path, *flags) as served:
            infer, marked = served.http + "/v2/models/mlp/infer", {"X-Secret": MARK, "Authorization": MARK}
            texts = [{"name": "x", "datatype": "BYTES", "shape": [1, 1], "data": [MARK]}]
            contents: list[Any] = [
                body(parameters={"secret": MARK}),
                body(parameters={"priority": MARK}),
                body(outputs=[{"name": MARK}]),
                {"inputs": texts},
                {"inputs": [texts[0] | {"name": MARK}]},
                {"inputs": [texts[0] | {"datatype": MARK}]},
                {MARK: MARK},
            ]
            answers = [httpx.post(infer, json=content, headers=marked).status_code for content in contents]
            answers += [
                httpx.post(url, content=text, headers=marked).status_code
                for url in (infer, served.http + "/v1/models/mlp:predict", served.http + "/v2/models/abc/generate")
                for text in (f'{{"{MARK}": ', f'"{MARK}"', MARK)
            ]
            text = {"text_input": MARK, "parameters": {"max_tokens": 3}}
            answers.append(httpx.post(served.http + "/v2/models/abc/generate", json=text).status_code)
            ask(served.grpc, headers={"x-secret": MARK}, parameters={"secret": MARK})
            with pytest.raises(InferenceServerException):
                ask(served.grpc, outputs=[triton_grpc.InferRequestedOutput(MARK)])
            assert 0 == served.stop()

    assert {200, 400} == set(answers)
    told = json.dumps(served.log) + repr(collected.spans)
    assert len(answers) + 2 == sum(line["event"] == "access" for line in served.log)
    for secret in (MARK, "c0ffee", "31337"):
        assert secret not in told
