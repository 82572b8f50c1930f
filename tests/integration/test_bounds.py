"""What a model or a request may not do to the server, however it tries."""

import contextlib
import gzip
import os
import threading
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.contract.live import ask as raw_ask
from tests.contract.live import status
from tests.contract.raw import get, post
from tests.integration.models import doubled, texts
from tests.integration.served import CONFIG, Served, reference, serving, write_model

PATH, INDEX = "/v2/models/mlp/infer", "/v2/repository/index"


def ask(served: Served, model: str, rows: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    x = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
        answer: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = client.infer(model, [tensor]).as_numpy("y")
    np.testing.assert_allclose(reference(x), answer, rtol=1e-4, atol=1e-4)
    return answer


def test_outputs_beyond_the_limit_are_refused_and_smaller_ones_answered(tmp_path: Path) -> None:
    """A batch whose outputs are too large is taken apart; only a request that is too large by itself is refused."""
    write_model(tmp_path, "mlp", config=None)
    with serving(tmp_path, "--max-output-bytes", "1024") as served:
        with pytest.raises(InferenceServerException, match="outputs have 1280 bytes, the limit for a batch is 1024"):
            ask(served, "mlp", 32)
        threads = [threading.Thread(target=ask, args=(served, "mlp", 16)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert (16, 10) == ask(served, "mlp", 16).shape


def test_a_large_request_without_room_is_refused_once_and_not_counted_as_admitted(tmp_path: Path) -> None:
    """Room for three of its ten batches: its client hears that the queue is full, and no drain waits for it."""
    write_model(tmp_path, "mlp")
    flags = ("--model-control-mode", "explicit", "--load-model", "mlp", "--max-queue-bytes", "16000")
    with serving(tmp_path, *flags) as served, ThreadPoolExecutor() as pool:
        with pytest.raises(InferenceServerException, match="12288 bytes are waiting; 4096 more exceed") as caught:
            ask(served, "mlp", 160)
        assert "503" == caught.value.status()
        with urllib.request.urlopen(f"{served.metrics}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        counts = [line.rpartition(" ")[2] for line in lines if line.startswith("hone_requests_total{")]
        assert ["1.0"] == [count for count in counts if float(count)]
        assert (16, 10) == ask(served, "mlp", 16).shape
        with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
            pool.submit(client.unload_model, "mlp").result(10)
    assert [] == [line for line in served.log if line.get("level") in ("warning", "error")]


SWELLING = (
    (post(PATH, gzip.compress(bytes(64 << 20), mtime=0), "Content-Encoding: gzip"), "larger than the limit"),
    (post(PATH, zlib.compress(bytes(64 << 20)), "Content-Encoding: deflate"), "larger than the limit"),
    (get(PATH, "Content-Length: 99999999999", method="POST"), "larger than the limit"),
    (get(PATH, "Transfer-Encoding: chunked", method="POST") + b"10000\r\n%b\r\n" % bytes(65536) * 66, "the limit"),
    (get(INDEX, "Transfer-Encoding: chunked", method="POST") + b"10000\r\n%b\r\n" % bytes(65536) * 66, "the limit"),
    (get(PATH, "Transfer-Encoding: chunked", method="POST") + b"1\r\n \r\n" * 1_000_000, "more than 65536 pieces"),
)
"""Bombs of both codings, a length that is announced, chunks that come to too much by two routes, a million of them."""


def test_what_swells_leaves_nothing_behind(tmp_path: Path) -> None:
    """Sent again and again it is refused each time, others are answered meanwhile, and the front is no larger."""
    write_model(tmp_path, "mlp")
    resident = []
    with serving(tmp_path) as served:
        for _ in range(7):
            for request_text, words in SWELLING:
                answer = raw_ask(served.address[1], request_text)
                assert 413 == status(answer)
                assert words.encode() in answer
                assert (1, 10) == ask(served, "mlp", 1).shape
            resident.append(int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]))
    grown = (resident[-1] - resident[2]) * os.sysconf("SC_PAGE_SIZE")
    assert grown < 8 << 20, f"{grown} bytes: a body that is kept until the collector comes has 4 million"


def test_a_parameter_of_somebody_else_may_be_large(tmp_path: Path) -> None:
    """What isn't ours in a config isn't sent anywhere, so it can't break anything."""
    note = f'parameters {{ key: "note" value {{ string_value: "{"a" * 70_000}" }} }}'
    write_model(tmp_path, "noted", config=CONFIG + note)
    write_model(tmp_path, "plain")
    with serving(tmp_path) as served:
        assert (1, 10) == ask(served, "noted", 1).shape
        assert (1, 10) == ask(served, "plain", 1).shape


def test_an_idle_connection_keeps_nothing_of_what_it_was_answered(tmp_path: Path) -> None:
    """Thirty that were sent 4 MB and got as much: the front is no larger than after the first."""
    write_model(tmp_path, "doubled", config=None, model=doubled())
    x = np.ones((1, 1 << 20), np.float32)
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    with serving(tmp_path) as served, contextlib.ExitStack() as idle:
        resident = []
        for _ in range(30):
            client = idle.enter_context(triton.InferenceServerClient(served.http.removeprefix("http://")))
            assert 2 == client.infer("doubled", [tensor]).as_numpy("y")[0, -1]
            resident.append(int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]))
    assert (resident[-1] - resident[0]) * os.sysconf("SC_PAGE_SIZE") < 40 << 20


def test_bytes_that_are_no_text_cost_their_sender_only(tmp_path: Path) -> None:
    """What a model that takes text can't read is the client's mistake, and named; requests beside it are answered."""
    write_model(tmp_path, "texts", config=None, model=texts())

    def say(element: bytes) -> bytes:
        tensor = triton.InferInput("t", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([element], np.object_))
        with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
            said: bytes = client.infer("texts", [tensor]).as_numpy("y")[0]
        return said

    with serving(tmp_path) as served, ThreadPoolExecutor(8) as pool:
        sound = ["größer".encode(), b"", b"plain"] * 20
        answers = [pool.submit(say, element) for element in sound]
        refused = [pool.submit(say, b"\xff\x00") for _ in range(20)]

        assert sound == [answer.result() for answer in answers]
        for answer in refused:
            with pytest.raises(InferenceServerException, match='"t": element 0 isn\'t UTF-8 text') as caught:
                answer.result()
            assert "400" == caught.value.status()
