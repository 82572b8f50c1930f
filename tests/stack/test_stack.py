"""Hone in its container, seen from outside: by clients, by Prometheus, by Locust and by the engine that stops it."""

import json
import socket
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.stack.digits import check, golden, predict
from tests.stack.stack import ROOT, Stack, eventually, get, query

OUTCOMES = ("ok", "client_error")
COUNTED = 'sum(hone_requests_total{model="digits",outcome="%s"})'


@pytest.mark.parametrize("model", sorted(path.parent.name for path in (ROOT / "models").glob("*/config.pbtxt")))
def test_predictions_are_the_published_ones(stack: Stack, model: str) -> None:
    """NVIDIA's client gets the classes that were published with each mounted model, and nearly the probabilities."""
    check(stack, model)


def test_bad_requests_are_refused(stack: Stack) -> None:
    """A request that doesn't fit the model gets the status and text that it gets without a container."""
    with pytest.raises(InferenceServerException) as refused:
        predict(stack, "digits", np.zeros((1, 1, 2, 2), np.uint8))

    assert "400" == refused.value.status()
    assert "image" in refused.value.message()


def test_prometheus_sees_the_predictions(stack: Stack) -> None:
    """Prometheus scrapes the container, and counts every prediction and every refusal that was made through it."""
    prometheus = stack.address("prometheus", 9090)
    images, _ = golden("digits")
    assert [1.0] == eventually(lambda: query(prometheus, 'up{job="hone"}'), [[1.0]])
    before = [scraped(stack, outcome) for outcome in OUTCOMES]

    predict(stack, "digits", images[:1])
    predict(stack, "digits", images)
    with pytest.raises(InferenceServerException):
        predict(stack, "digits", np.zeros((1, 1, 2, 2), np.uint8))

    expected = [[before[0] + 2], [before[1] + 1]]
    assert expected == eventually(lambda: [query(prometheus, COUNTED % outcome) for outcome in OUTCOMES], [expected])


def scraped(stack: Stack, outcome: str) -> float:
    """The counter as the service itself shows it, at this moment."""
    _, body = get(f"http://{stack.address('hone', 8002)}/metrics")
    lines = [line for line in body.decode().splitlines() if line.startswith('hone_requests_total{model="digits"')]
    return sum(float(line.split()[-1]) for line in lines if f'outcome="{outcome}"' in line)


def test_the_container_is_confined(stack: Stack) -> None:
    """The process is nobody, has and can gain no capability, and can write nothing but /tmp and shared memory."""
    program = (
        "import json, os; print(json.dumps([os.getuid(), os.access('/', os.W_OK), open('/proc/self/status').read()]))"
    )
    uid, writable, status = json.loads(stack.inside(program))
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    host = stack.container("hone")["HostConfig"]

    assert uid >= 10_000
    assert not writable
    assert {0} == {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert "1" == fields["NoNewPrivs"]
    assert host["ReadonlyRootfs"]
    assert host["Memory"] > 0


def test_memory_is_measured_against_the_container_s_limit(stack: Stack) -> None:
    """Not against the machine's: what the kernel ends processes by."""
    _, body = get(f"http://{stack.address('hone', 8002)}/metrics")
    figures = dict(line.split() for line in body.decode().splitlines() if line.startswith("hone_memory"))

    assert stack.container("hone")["HostConfig"]["Memory"] == float(figures["hone_memory_limit_bytes"])
    assert 0.02 < float(figures["hone_memory_used_bytes"]) / float(figures["hone_memory_limit_bytes"]) < 0.9


def test_locust_finds_no_fault(stack: Stack) -> None:
    """Locust without its page sends digits for its time, and every answer is right."""
    assert "0(0.00%)" in stack.compose("run", "--rm", "locust", seconds=90)


def test_locust_fails_when_it_is_not_served(stack: Stack) -> None:
    """Its exit code says so when there is nothing to load."""
    code, said = stack.attempt("run", "--rm", "locust", "--url", "http://hone:8000", "--model", "absent")

    assert 1 == code
    assert "doesn't serve model 'absent'" in said


def test_a_stop_answers_what_was_begun(stack: Stack) -> None:
    """A stop lets in nobody new, answers the request that is half received, and ends with exit code 0."""
    url = stack.address("hone", 8000)
    host, port = url.split(":")
    images, expected = golden("digits")
    request = begun(images[:1])
    try:
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(request[:-9])
            assert 200 == eventually(lambda: get(f"http://{url}/v2/health/ready")[0], [200])
            with stack.start("stop", "hone", seconds=60) as stopping:
                assert 0 == eventually(lambda: get(f"http://{url}/v2/health/ready")[0], [0])
                assert stopping.poll() is None
                connection.sendall(request[-9:])
                head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
        state = stack.container("hone")["State"]
    finally:
        stack.up()

    assert b"HTTP/1.1 200 OK" == head.split(b"\r\n")[0]
    assert b"connection: close" in head.lower()
    assert expected[0].argmax() == np.argmax(json.loads(body)["outputs"][0]["data"])
    assert ("exited", 0, False) == (state["Status"], state["ExitCode"], state["OOMKilled"])


def begun(images: NDArray[np.uint8]) -> bytes:
    """A whole request for the classes of `images`, as it goes over the wire."""
    tensor: dict[str, Any] = {"name": "image", "shape": images.shape, "datatype": "UINT8"}
    body = json.dumps({"inputs": [tensor | {"data": images.ravel().tolist()}]}).encode()
    head = f"POST /v2/models/digits/infer HTTP/1.1\r\nHost: hone\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
