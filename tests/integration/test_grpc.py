"""A real server's gRPC door, asked by the stock clients, beside its HTTP door."""

import asyncio
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
import tritonclient.http as triton_http
from tritonclient.utils import InferenceServerException

from loadtests.served import ROOT
from tests.integration.models import doubled, slow
from tests.integration.served import Served, metric, run_to_end, serving, write_model

X = np.random.default_rng(5).normal(size=(3, 64)).astype(np.float32)
SLOW = "max_batch_size: 1"
ROWS = np.zeros((1, 64), np.float32)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A small model."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "mlp")
    with serving(root, "--model-control-mode", "explicit", "--load-model", "mlp") as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    """The stock client."""
    with triton.InferenceServerClient(served.grpc) as connected:
        yield connected


def tensor(x: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> triton.InferInput:
    made = triton.InferInput("x", list(x.shape), "FP32")
    made.set_data_from_numpy(x)
    return made


def test_both_doors_answer_alike(served: Served, client: triton.InferenceServerClient) -> None:
    """To the last bit, and they say the same of the model."""
    sent = triton_http.InferInput("x", list(X.shape), "FP32")
    sent.set_data_from_numpy(X)
    with triton_http.InferenceServerClient(served.http.removeprefix("http://")) as other:
        np.testing.assert_array_equal(
            other.infer("mlp", [sent]).as_numpy("y"), client.infer("mlp", [tensor(X)]).as_numpy("y")
        )
        assert other.get_model_metadata("mlp") == client.get_model_metadata("mlp", as_json=True) | {
            "inputs": other.get_model_metadata("mlp")["inputs"],
            "outputs": other.get_model_metadata("mlp")["outputs"],
        }
        theirs, ours = other.get_model_config("mlp"), client.get_model_config("mlp").config
    assert (theirs["name"], theirs["max_batch_size"], theirs["platform"]) == (
        ours.name,
        ours.max_batch_size,
        ours.platform,
    )


def test_a_wrong_request_harms_nobody(client: triton.InferenceServerClient) -> None:
    """It is refused with the words that HTTP has, and the next one is answered."""
    with pytest.raises(InferenceServerException, match='input "x"') as caught:
        client.infer("mlp", [tensor(X[:, :5].copy())])

    assert "INVALID_ARGUMENT" in str(caught.value.status())
    assert X.shape[0] == client.infer("mlp", [tensor(X)]).as_numpy("y").shape[0]


def test_a_model_goes_and_comes_back(client: triton.InferenceServerClient) -> None:
    """Unloaded it isn't ready and answers nobody; loaded again it does."""
    client.unload_model("mlp")
    assert not client.is_model_ready("mlp")
    with pytest.raises(InferenceServerException):
        client.infer("mlp", [tensor(X)])
    client.load_model("mlp")

    assert client.is_model_ready("mlp")
    assert client.infer("mlp", [tensor(X)]).as_numpy("y") is not None


def test_many_calls_at_once_share_batches(served: Served) -> None:
    """Each call of the asynchronous client gets the answer to its own request; they are counted as gRPC's."""

    async def ask() -> None:
        async with triton_aio.InferenceServerClient(served.grpc) as client:
            rows = [np.full((1, 64), value, np.float32) for value in range(64)]
            alone = await client.infer("mlp", [tensor(np.concatenate(rows[:16]))])
            answers = await asyncio.gather(*[client.infer("mlp", [tensor(row)]) for row in rows])
            np.testing.assert_allclose(
                alone.as_numpy("y"), np.concatenate([one.as_numpy("y") for one in answers[:16]]), rtol=1e-5
            )

    before = metric(served, "hone_requests_total", model="mlp", protocol="grpc", outcome="ok")
    asyncio.run(ask())

    assert before + 65 == metric(served, "hone_requests_total", model="mlp", protocol="grpc", outcome="ok")


def test_both_doors_name_the_same_classes() -> None:
    """The committed digits, whose labels are their names: a text for each of the best, of each row."""
    image = np.random.default_rng(1).integers(0, 255, (2, 1, 24, 24), np.uint8)
    with serving(ROOT / "models") as served:
        with triton.InferenceServerClient(served.grpc) as client:
            sent = triton.InferInput("image", list(image.shape), "UINT8")
            sent.set_data_from_numpy(image)
            numbers = client.infer("digits", [sent]).as_numpy("probabilities")
            wanted = triton.InferRequestedOutput("probabilities", class_count=3)
            classes = client.infer("digits", [sent], outputs=[wanted]).as_numpy("probabilities")
        with triton_http.InferenceServerClient(served.http.removeprefix("http://")) as other:
            posted = triton_http.InferInput("image", list(image.shape), "UINT8")
            posted.set_data_from_numpy(image)
            for binary in (True, False):
                asked = triton_http.InferRequestedOutput("probabilities", binary_data=binary, class_count=3)
                told = other.infer("digits", [posted], outputs=[asked]).as_numpy("probabilities")
                assert [[_text(one) for one in row] for row in classes] == [[_text(one) for one in row] for row in told]

    best = np.argsort(-numbers, axis=1)[:, :3]
    expected = [[f"{numbers[row, index]:f}:{index}:{index}" for index in indices] for row, indices in enumerate(best)]
    assert expected == [[_text(one) for one in row] for row in classes]


def _text(one: bytes | str) -> str:
    return one.decode() if isinstance(one, bytes) else one


def test_statistics_add_up(served: Served, client: triton.InferenceServerClient) -> None:
    """What a client's requests add to the counts, on both doors alike: rows, batches, and where the time went."""
    before = client.get_inference_statistics("mlp").model_stats[0]
    for _ in range(5):
        client.infer("mlp", [tensor(X)])
    with triton_http.InferenceServerClient(served.http.removeprefix("http://")) as other:
        told = other.get_inference_statistics("mlp", "1")["model_stats"][0]
        assert ["mlp"] == [one["name"] for one in other.get_inference_statistics()["model_stats"]]
    after = client.get_inference_statistics("mlp").model_stats[0]

    assert before.inference_count + 15 == after.inference_count == told["inference_count"]
    assert before.execution_count + 5 == after.execution_count
    assert before.inference_stats.success.count + 5 == after.inference_stats.success.count
    assert before.inference_stats.queue.count + 5 == after.inference_stats.queue.count
    assert abs(time.time() - after.last_inference / 1e3) < 5
    stats = after.inference_stats
    assert stats.queue.ns * stats.compute_input.ns * stats.compute_infer.ns > 0
    parts = stats.queue.ns + stats.compute_input.ns + stats.compute_infer.ns + stats.compute_output.ns
    assert 0 < parts <= stats.success.ns
    sizes = {one.batch_size: one.compute_infer.count for one in after.batch_stats}
    assert sizes[3] >= 5
    assert sum(sizes.values()) == after.execution_count


def test_a_deadline_reaches_the_scheduler(tmp_path: Path) -> None:
    """What can't be done in the time of the call is refused at once, not when the time is over."""
    write_model(tmp_path, "slow", config=SLOW, model=slow(24))
    many = np.zeros((64, 64), np.float32)
    with serving(tmp_path) as served, triton.InferenceServerClient(served.grpc) as client:
        before = time.monotonic()
        client.infer("slow", [tensor(many)])
        seconds = time.monotonic() - before
        with pytest.raises(InferenceServerException, match="would be finished in") as caught:
            client.infer("slow", [tensor(many)], client_timeout=seconds / 3)

    assert "UNAVAILABLE" in str(caught.value.status())


def test_what_was_accepted_is_answered_before_the_end(tmp_path: Path) -> None:
    """After SIGTERM calls under way are answered, and the exit code is 0."""
    write_model(tmp_path, "slow", config=SLOW, model=slow())
    with serving(tmp_path) as served, triton.InferenceServerClient(served.grpc) as client:
        heard: list[InferenceServerException | None] = []

        def hear(result: object, error: InferenceServerException | None) -> None:
            heard.append(error)

        for _ in range(30):
            client.async_infer("slow", [tensor(ROWS)], hear)
        client.is_server_live()  # after them on the same connection
        served.process.send_signal(signal.SIGTERM)
        assert 0 == served.process.wait(40)
        until = time.monotonic() + 10
        while len(heard) < 30 and time.monotonic() < until:
            time.sleep(0.01)

    assert [None] * 30 == heard


def test_shared_memory_has_to_be_allowed(served: Served, tmp_path: Path) -> None:
    """A server lists the extension and takes regions only if it was started so, and on loopback."""
    key = f"hone-test-{secrets.token_hex(6)}"
    path = Path("/dev/shm", key)
    path.write_bytes(X.tobytes())
    try:
        with triton.InferenceServerClient(served.grpc) as client:
            assert "system_shared_memory" not in client.get_server_metadata().extensions
            with pytest.raises(InferenceServerException, match="--allow-client-shm") as caught:
                client.register_system_shared_memory("x", key, X.nbytes)
            assert "PERMISSION_DENIED" in str(caught.value.status())
            expected = client.infer("mlp", [tensor(X)]).as_numpy("y")
        write_model(tmp_path, "mlp")
        with serving(tmp_path, "--allow-client-shm") as open_one, triton.InferenceServerClient(open_one.grpc) as client:
            assert "system_shared_memory" in client.get_server_metadata().extensions
            client.register_system_shared_memory("x", key, X.nbytes)
            sent = triton.InferInput("x", list(X.shape), "FP32")
            sent.set_shared_memory("x", X.nbytes)
            np.testing.assert_array_equal(expected, client.infer("mlp", [sent]).as_numpy("y"))
    finally:
        path.unlink()
    code, errors = run_to_end(["run", "--host", "0.0.0.0", "--allow-client-shm"])
    assert 2 == code
    assert "anybody who reaches 0.0.0.0 could read and write this machine's shared memory" in errors


def test_the_door_may_stay_closed(tmp_path: Path) -> None:
    """With --no-allow-grpc nothing is said of a port, and HTTP serves."""
    write_model(tmp_path, "mlp")
    with serving(tmp_path, "--no-allow-grpc") as served:
        assert "" == served.grpc
        with triton_http.InferenceServerClient(served.http.removeprefix("http://")) as client:
            assert client.is_model_ready("mlp")


def test_an_idle_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """tritonclient keeps streams open: one that waits for nothing ends when the server does."""
    write_model(tmp_path, "mlp")
    with serving(tmp_path, "--exit-timeout-secs", "20") as served, triton.InferenceServerClient(served.grpc) as client:
        heard: list[object] = []
        client.start_stream(lambda result, error: heard.append(error or result))
        client.async_stream_infer("mlp", [tensor(X)])
        until = time.monotonic() + 10
        while not heard and time.monotonic() < until:
            time.sleep(0.01)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        assert 0 == served.process.wait(40)
        assert time.monotonic() - began < 10
    assert heard


@pytest.mark.parametrize("kind", ["good", "refused", "in parts"])
def test_large_messages_leave_nothing_behind(tmp_path: Path, kind: str) -> None:
    """What was asked and answered is gone when it is sent, not when the collector of cycles comes by."""
    write_model(tmp_path, "doubled", config="max_batch_size: 2\ndynamic_batching { }", model=doubled())
    rows = 6 if kind == "in parts" else 1
    x = np.zeros((rows, 2_000_000 // rows), np.float32)
    with serving(tmp_path) as served, triton.InferenceServerClient(served.grpc) as client:
        heard: list[bool] = []

        def hear(result: object, error: InferenceServerException | None) -> None:
            heard.append(error is None and result is not None)

        client.start_stream(hear)

        def ask(number: int) -> None:
            client.async_stream_infer("nobody" if kind == "refused" else "doubled", [tensor(x)])
            until = time.monotonic() + 20
            while len(heard) <= number and time.monotonic() < until:
                time.sleep(0.001)

        for number in range(5):
            ask(number)
        before = resident(served)
        for number in range(5, 30):
            ask(number)
        grown = resident(served) - before
        client.stop_stream()

    assert [kind != "refused"] * 30 == heard
    assert grown < 100 * 2**20, f"{grown / 2**20:.0f} MiB"


def resident(served: Served) -> int:
    """Bytes of memory that the front process has."""
    return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * 4096
