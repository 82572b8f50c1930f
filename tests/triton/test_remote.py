"""A real tritonserver behind Hone."""

import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.datatypes import NUMPY_DTYPES
from tests.integration.served import Served, serving
from tests.triton.asking import Tensors, arrays, infer, row
from tests.triton.tritonserver import TritonServer

SPECIALS = {
    "BF16": [0x3F81, 0x8000, 0x0001],  # one and a bit, minus zero, a subnormal
    "FP16": [np.nan, -0.0, 6e-8],
    "FP64": [np.pi, -np.inf, 5e-324],
    "UINT64": [0, 2**53 + 1, 2**64 - 1],
    "BOOL": [True, False, True],
    "BYTES": [b"", b"\x00\xff", "größer".encode()],
}


def everything(rows: int) -> Tensors:
    """An input of each datatype."""
    return {
        f"x_{datatype}": (datatype, np.array([SPECIALS.get(datatype, [0, 1, 100])] * rows, dtype))
        for datatype, dtype in NUMPY_DTYPES.items()
    }


def until(condition: Callable[[], bool], seconds: float = 40) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def ready(hone: Served, model: str = "sleep") -> bool:
    return httpx.get(f"{hone.http}/v2/models/{model}/ready").status_code == 200


def settle(hone: Served) -> None:
    """Wait until every model is ready, and send each the one request that it is tried with after an outage."""
    for model in ("same_0", "same_4", "sleep", "fail", "narrow"):
        until(functools.partial(ready, hone, model))
        infer(hone.http, model, everything(1) if model.startswith("same") else row(0))


def count(hone: Served, instrument: str) -> float:
    """What an instrument says at the moment."""
    text = httpx.get(f"{hone.metrics}/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(instrument))


@pytest.mark.parametrize("model", ["same_0", "same_4"])
def test_every_datatype(hone: Served, model: str) -> None:
    """Each datatype comes back bit by bit, without a batch axis and with one."""
    sent = everything(2)
    came = arrays(infer(hone.http, model, sent))

    assert len(NUMPY_DTYPES) == len(came)
    for datatype in NUMPY_DTYPES:
        kind, array = came[f"y_{datatype}"]
        expected = sent[f"x_{datatype}"][1]
        assert datatype == kind
        if datatype == "BYTES":
            assert expected.tolist() == array.tolist()
        else:
            assert (expected.shape, expected.tobytes()) == (array.shape, array.tobytes())


def test_some_outputs(hone: Served) -> None:
    """The model in the remote computes only what the client asks for."""
    assert {"y_BYTES", "y_BF16"} == set(arrays(infer(hone.http, "same_4", everything(1), "y_BYTES", "y_BF16")))


def test_it_looks_like_any_model(hone: Served) -> None:
    """Metadata and configuration are the remote's, under the name that the folder gives it."""
    metadata = httpx.get(f"{hone.http}/v2/models/sleep").json()
    config = httpx.get(f"{hone.http}/v2/models/sleep/config").json()

    assert [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}] == metadata["inputs"]
    assert 8 == config["max_batch_size"]
    assert ready(hone)


def test_many_at_once(hone: Served) -> None:
    """Requests side by side get their own answers, and all of them are counted."""
    instruments = (
        'hone_requests_total{model="sleep",outcome="ok",protocol="http",version="1"}',
        'hone_compute_duration_seconds_count{model="sleep",phase="infer",version="1"}',
        'hone_remote_calls_total{end="ok",model="sleep",version="1"}',
    )
    before = [count(hone, instrument) for instrument in instruments]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda value: infer(hone.http, "sleep", row(value / 1e4)), range(100)))

    for value, answer in enumerate(answers):
        assert row(value / 1e4)["x"][1].tobytes() == arrays(answer)["y"][1].tobytes()
    assert [100, 100, 100] == [count(hone, one) - had for one, had in zip(instruments, before, strict=True)]


def test_deadline(hone: Served) -> None:
    """The client hears of its deadline when it passes, and the remote stops computing: its next request goes on."""
    began = time.monotonic()
    late = infer(hone.http, "sleep", row(20), seconds=0.3)
    after = infer(hone.http, "sleep", row(0))

    assert (504, "deadline_exceeded") == (late.status_code, late.json()["reason"])
    assert 200 == after.status_code
    assert time.monotonic() - began < 5


def test_error(hone: Served) -> None:
    """What the model raises reaches the client in its words, without the remote's paths."""
    refused = infer(hone.http, "fail", row(1))

    assert (500, "backend_error") == (refused.status_code, refused.json()["reason"])
    assert "this model takes no request today" in refused.json()["error"]
    assert "model.py" not in refused.json()["error"]


def test_full_queue(hone: Served) -> None:
    """A request that the remote's full queue turns away is tried again, and refused as one to send later."""
    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(infer, hone.http, "narrow", row(1.5)) for _ in range(2)]
        time.sleep(0.5)
        refused = infer(hone.http, "narrow", row(0), seconds=0.4)

        assert (503, "not_ready") == (refused.status_code, refused.json()["reason"])
        assert "queue" in refused.json()["error"]
        assert "Retry-After" in refused.headers
        assert [200, 200] == [one.result().status_code for one in busy]


def test_unloaded_and_loaded(hone: Served, triton: TritonServer) -> None:
    """A model that the remote unloads isn't ready; it is again once the remote has it back."""
    triton.unload("fail")
    until(lambda: not ready(hone, "fail"))
    assert 503 == infer(hone.http, "fail", row(1)).status_code
    assert ready(hone)
    triton.load("fail")

    settle(hone)
    assert 500 == infer(hone.http, "fail", row(1)).status_code


def test_killed_and_started(hone: Served, triton: TritonServer) -> None:
    """A remote that is killed costs what it was computing; the rest is refused at once until it is back."""
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(infer, hone.http, "sleep", row(30))
        time.sleep(0.5)
        triton.stop()
        lost = under_way.result()
    assert (503, "worker_lost") == (lost.status_code, lost.json()["reason"]), lost.text
    until(lambda: not ready(hone))
    began = time.monotonic()
    refused = infer(hone.http, "sleep", row(0))
    assert (503, "not_ready") == (refused.status_code, refused.json()["reason"])
    assert time.monotonic() - began < 1

    triton.start()
    settle(hone)
    assert 200 == infer(hone.http, "sleep", row(0)).status_code


def test_remote_starts_later(triton: TritonServer, repository: Path, hone: Served) -> None:
    """Hone starts without the remote, says why its models aren't served, and serves them when the remote comes."""
    triton.stop()
    try:
        with serving(repository, "--remote", f"real={triton.address}") as early:
            index = httpx.post(f"{early.http}/v2/repository/index").json()
            assert {"UNAVAILABLE"} == {entry["state"] for entry in index}
            assert {"the remote server can't be reached"} == {entry["reason"] for entry in index}
            triton.start()
            until(lambda: ready(early))
            assert 200 == infer(early.http, "sleep", row(0)).status_code
    finally:
        if not triton.running:
            triton.start()
        settle(hone)
