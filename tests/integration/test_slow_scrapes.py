"""A Prometheus that is slow, or reads nothing, has no effect on requests, nor on others who read the metrics."""

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.integration.served import Served, serving, write_model

BODY = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}]}).encode()
STUCK, ROUNDS = 32, 3
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: hone\r\n\r\n"
SOON = 5.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("models")
    write_model(root, "m")
    with serving(root) as server:
        yield server


def scrape(served: Served) -> str:
    """What one gets who reads."""
    with urllib.request.urlopen(f"{served.metrics}/metrics", timeout=SOON) as answer:
        text: str = answer.read().decode()
        return text


def ask(served: Served) -> float:
    """The seconds that an answer takes."""
    began = time.monotonic()
    with urllib.request.urlopen(f"{served.http}/v2/models/m/infer", data=BODY, timeout=SOON) as answer:
        assert json.load(answer)["model_name"] == "m"
    return time.monotonic() - began


@pytest.mark.parametrize(
    "sent, reads",
    [(b"", 0), (SCRAPE[:10], 0), (SCRAPE, 0), (SCRAPE, 1)],
    ids=["asks nothing", "half", "unread", "a byte"],
)
def test_who_reads_slowly_is_alone_with_it(served: Served, sent: bytes, reads: int) -> None:
    """Requests are answered as ever, scrapes too, and what was asked is counted, while the slow ones are there."""
    before = scrape(served)
    with contextlib.ExitStack() as stack:
        stuck = [stack.enter_context(slow(served)) for _ in range(STUCK)]
        for one in stuck:
            one.sendall(sent)
        for _ in range(ROUNDS):
            for one in stuck:
                assert reads == len(one.recv(reads))
            assert ask(served) < SOON
            assert scrape(served)
        assert ROUNDS == answered(scrape(served)) - answered(before)


def slow(served: Served) -> socket.socket:
    """A connection to the metrics with as small a buffer as there is."""
    host, port = served.metrics.removeprefix("http://").split(":")
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    one.settimeout(SOON)
    one.connect((host, int(port)))
    return one


def answered(text: str) -> int:
    """Requests that ended well, of a scrape."""
    found = [line for line in text.splitlines() if line.startswith("hone_requests_total{") and 'outcome="ok"' in line]
    return int(sum(float(line.rpartition(" ")[2]) for line in found if 'model="m"' in line))
