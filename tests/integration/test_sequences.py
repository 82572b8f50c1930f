"""Models that are served step by step, by a real server, over both doors."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import numpy as np
import onnxruntime
import pytest
import tritonclient.grpc as triton
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.integration.models import lstm, summing
from tests.integration.served import Served, metric, serving, write_ensemble, write_model

STEPS = 12
SUM = """
max_batch_size: 8
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  oldest { max_candidate_sequences: 64 }
  state [ {
    input_name: "sum" output_name: "new_sum" data_type: TYPE_FP32 dims: [ 1 ]
    initial_state [ { dims: [ 1 ] data_file: "hundred" data_type: TYPE_FP32 } ]
  } ]
}
"""
LSTM = """
max_batch_size: 8
sequence_batching {
  max_sequence_idle_microseconds: 60000000
  state [
    { input_name: "h" output_name: "h_out" data_type: TYPE_FP32 dims: [ 8 ] },
    { input_name: "c" output_name: "c_out" data_type: TYPE_FP32 dims: [ 8 ] }
  ]
}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A model that sums up, from a hundred on, and an LSTM."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "sum", config=SUM, model=summing())
    (root / "sum" / "initial_state").mkdir()
    (root / "sum" / "initial_state" / "hundred").write_bytes(np.array([100], np.float32).tobytes())
    write_model(root, "lstm", config=LSTM, model=lstm(steps=1))
    with serving(root) as server:
        yield server


def step(client: Any, module: Any, model: str, x: NDArray[np.float32], name: int | str, **flags: bool) -> Any:
    """The first output of one step."""
    sent = module.InferInput("x", list(x.shape), "FP32")
    sent.set_data_from_numpy(x)
    return client.infer(model, [sent], sequence_id=name, **flags).as_numpy("y")


def test_an_lstm_step_by_step_computes_what_it_does_in_one_go(served: Served) -> None:
    """Eight clients at once, over HTTP and gRPC by turns: their steps share batches, their states don't."""
    x = np.random.default_rng(3).normal(size=(8, STEPS, 4)).astype(np.float32)
    whole = onnxruntime.InferenceSession(lstm(steps=STEPS), providers=["CPUExecutionProvider"])
    zeros = np.zeros((8, 8), np.float32)
    (expected,) = whole.run(["y"], {"x": x, "h": zeros, "c": zeros})

    def client(number: int) -> NDArray[np.float32]:
        http = triton_http.InferenceServerClient(served.http.removeprefix("http://"))
        with http, triton.InferenceServerClient(served.grpc) as grpc:
            doors = [(http, triton_http), (grpc, triton)]
            answers = [
                step(
                    *doors[at % 2],
                    "lstm",
                    x[number : number + 1, at : at + 1],
                    number + 1,
                    sequence_start=at == 0,
                    sequence_end=at == STEPS - 1,
                )
                for at in range(STEPS)
            ]
        return np.concatenate(answers, axis=1)

    with ThreadPoolExecutor(8) as pool:
        got = np.concatenate(list(pool.map(client, range(8))))
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert 0 == metric(served, "hone_sequences", model="lstm")


def test_what_clients_see_of_it(served: Served) -> None:
    """Neither states nor controls are inputs or outputs; the configuration says that there are sequences."""
    with triton.InferenceServerClient(served.grpc) as client:
        metadata = client.get_model_metadata("lstm")
        assert (["x"], ["y"]) == ([one.name for one in metadata.inputs], [one.name for one in metadata.outputs])
        assert client.get_model_config("lstm").config.HasField("sequence_batching")
        assert "sequence" in client.get_server_metadata().extensions


def test_sequences_over_a_stream(served: Served) -> None:
    """Sent without waiting for answers, which come in order; it begins with what the file says."""
    answers: Queue[Any] = Queue()
    with triton.InferenceServerClient(served.grpc) as client:
        client.start_stream(lambda result, error: answers.put(error or result.as_numpy("y").item()))
        for at in range(1, 6):
            sent = triton.InferInput("x", [1, 1], "FP32")
            sent.set_data_from_numpy(np.array([[at]], np.float32))
            client.async_stream_infer("sum", [sent], sequence_id="stream", sequence_start=at == 1, sequence_end=at == 5)
        got = [answers.get(timeout=20) for _ in range(5)]
        client.stop_stream()

    assert [101, 103, 106, 110, 115] == got


def test_a_sequence_that_nobody_began(served: Served) -> None:
    """Both doors say what is missing, in Triton's words; nobody else suffers."""
    one = np.ones((1, 1), np.float32)
    http = triton_http.InferenceServerClient(served.http.removeprefix("http://"))
    with http, triton.InferenceServerClient(served.grpc) as grpc:
        for client, module, status in ((http, triton_http, "400"), (grpc, triton, "INVALID_ARGUMENT")):
            with pytest.raises(InferenceServerException, match="must specify the START flag") as caught:
                step(client, module, "sum", one, 5)
            assert status in str(caught.value.status())
            with pytest.raises(InferenceServerException, match="sequence_id"):
                step(client, module, "sum", one, 0)
        assert 101 == step(http, triton_http, "sum", one, 5, sequence_start=True, sequence_end=True)


def test_a_worker_that_is_killed_takes_no_sequence_with_it(served: Served) -> None:
    """Its successor goes on from the states that the last answers left."""
    one = np.ones((1, 1), np.float32)
    with triton_http.InferenceServerClient(served.http.removeprefix("http://")) as client:
        answers = [step(client, triton_http, "sum", one, 77, sequence_start=True).item()]
        for _ in range(3):
            for pid in served.workers():
                os.kill(pid, signal.SIGKILL)
            answers += [step(client, triton_http, "sum", one, 77).item() for _ in range(2)]

    assert [101 + at for at in range(7)] == answers


EXPLICIT = ("--model-control-mode", "explicit", "--load-model")
FROM_ZERO = SUM.replace('data_file: "hundred"', "zero_data: true")


def in_one_go(x: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """What an LSTM makes of whole sequences [N, steps, 4]."""
    whole = onnxruntime.InferenceSession(lstm(steps=x.shape[1], seed=seed), providers=["CPUExecutionProvider"])
    zeros = np.zeros((len(x), 8), np.float32)
    (y,) = whole.run(["y"], {"x": x, "h": zeros, "c": zeros})
    return np.asarray(y)


def workers_are(served: Served, count: int) -> bool:
    """Whether there are so many, as soon as who is about to end has ended."""
    until = time.monotonic() + 20
    while len(served.workers()) != count and time.monotonic() < until:
        time.sleep(0.02)
    return len(served.workers()) == count


def test_a_reload_under_running_sequences(tmp_path: Path) -> None:
    """They go on with the weights that they began with, over both doors; those that begin then have the new ones. A
    second reload, while the first generation still departs, does the same.
    """
    x = np.random.default_rng(4).normal(size=(3, STEPS, 4)).astype(np.float32)
    answers: list[list[NDArray[np.float32]]] = [[], [], []]
    weights = write_model(tmp_path, "lstm", config=LSTM, model=lstm(steps=1)) / "model.onnx"
    with serving(tmp_path, *EXPLICIT, "lstm") as served:
        one = len(served.workers())
        http = triton_http.InferenceServerClient(served.http.removeprefix("http://"), network_timeout=60)
        with http, triton.InferenceServerClient(served.grpc) as grpc:
            doors = [(http, triton_http), (grpc, triton)]
            for at in range(STEPS + 2):
                for number, got in enumerate(answers):
                    if 0 <= (mine := at - number) < STEPS:
                        flags = {"sequence_start": mine == 0, "sequence_end": mine == STEPS - 1}
                        row = x[number : number + 1, mine : mine + 1]
                        got.append(step(*doors[at % 2], "lstm", row, f"client {number}", **flags))
                if at < 2:
                    weights.write_bytes(lstm(steps=1, seed=at + 1))
                    http.load_model("lstm")
                    assert len(served.workers()) == (at + 2) * one
        for number, got in enumerate(answers):
            expected = in_one_go(x[number : number + 1], seed=number)
            np.testing.assert_allclose(np.concatenate(got, axis=1), expected, atol=1e-6)
        assert workers_are(served, one)
        assert 3 * STEPS == metric(served, "hone_requests_total", model="lstm", outcome="ok")
        assert 0 == metric(served, "hone_sequences", model="lstm")


def test_a_new_version_under_running_sequences(tmp_path: Path) -> None:
    """Answers name the version that computed them; an unload waits for none of them."""
    one = np.ones((1, 1), np.float32)
    write_model(tmp_path, "sum", config=FROM_ZERO, model=summing())

    def ask(client: Any, name: int, **flags: Any) -> tuple[str, float]:
        sent = triton_http.InferInput("x", [1, 1], "FP32")
        sent.set_data_from_numpy(one)
        answer = client.infer("sum", [sent], sequence_id=name, **flags)
        return answer.get_response()["model_version"], answer.as_numpy("y").item()

    with serving(tmp_path, *EXPLICIT, "sum") as served:
        workers = len(served.workers())
        with triton_http.InferenceServerClient(served.http.removeprefix("http://"), network_timeout=60) as client:
            assert ("1", 1) == ask(client, 7, sequence_start=True)
            assert ("1", 1) == ask(client, 8, sequence_start=True, model_version="1")
            write_model(tmp_path, "sum", config=None, model=summing(), version=2)
            client.load_model("sum")
            assert ("2", 1) == ask(client, 9, sequence_start=True)
            assert ("1", 2) == ask(client, 7)
            assert ("1", 2) == ask(client, 8, model_version="1")
            with pytest.raises(InferenceServerException, match='no version "1"'):
                ask(client, 10, sequence_start=True, model_version="1")
            assert ("1", 3) == ask(client, 7, sequence_end=True)
            assert ("2", 2) == ask(client, 9)
            assert 2 * workers == len(served.workers())
            client.unload_model("sum")
            assert [] == served.workers()
            with pytest.raises(InferenceServerException, match="unloaded"):
                ask(client, 9)


def test_an_ensemble_whose_model_is_replaced(tmp_path: Path) -> None:
    """The sequences of its steps go on too."""
    one = np.ones((1, 1), np.float32)
    config = FROM_ZERO.replace("max_batch_size: 8", "max_batch_size: 16")
    write_model(tmp_path, "sum", config=config, model=summing())
    wired = (
        'step { model_name: "sum" model_version: -1 input_map { key: "x" value: "x" }'
        ' output_map { key: "y" value: "y" } }'
    )
    write_ensemble(tmp_path, "whole", wired, inputs="x:FP32:1", outputs="y:FP32:1")
    with (
        serving(tmp_path, *EXPLICIT, "whole") as served,
        triton_http.InferenceServerClient(served.http.removeprefix("http://"), network_timeout=60) as client,
    ):
        assert 1 == step(client, triton_http, "whole", one, 7, sequence_start=True)
        (tmp_path / "sum" / "config.pbtxt").write_text(config.replace("64", "32"))
        client.load_model("sum")
        assert 1 == step(client, triton_http, "whole", one, 8, sequence_start=True)
        assert 2 == step(client, triton_http, "whole", one, 7)
        assert 3 == step(client, triton_http, "whole", one, 7, sequence_end=True)


def test_steps_behind_one_that_was_refused(tmp_path: Path) -> None:
    """None that was sent ahead over a stream is computed without it, even when there is room again."""
    write_model(tmp_path, "sum", config=FROM_ZERO, model=summing())
    answers: Queue[Any] = Queue()
    with serving(tmp_path, "--max-queue-requests", "4") as served, triton.InferenceServerClient(served.grpc) as client:
        client.start_stream(lambda result, error: answers.put(error or result.as_numpy("y").item()))

        def send(x: float, **flags: bool) -> None:
            sent = triton.InferInput("x", [1, 1], "FP32")
            sent.set_data_from_numpy(np.array([[x]], np.float32))
            client.async_stream_infer("sum", [sent], sequence_id=7, **flags)

        (worker,) = served.workers()
        os.kill(worker, signal.SIGSTOP)
        for at in range(1, 11):
            send(at, sequence_start=at == 1)
        until = time.monotonic() + 20
        while metric(served, "hone_requests_total", model="sum") < 6 and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(worker, signal.SIGCONT)
        got = [answers.get(timeout=20) for _ in range(10)]
        assert [1, 3, 6, 10] == got[:4]
        assert "4 steps are waiting or being computed" in str(got[4])
        assert all("a step was refused while others were under way" in str(error) for error in got[5:])
        send(11)
        assert "must specify the START flag" in str(answers.get(timeout=20))
        send(12, sequence_start=True, sequence_end=True)
        assert 12 == answers.get(timeout=20)
        client.stop_stream()
