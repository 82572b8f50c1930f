"""Closed-loop clients on loopback that check every answer and account for every request."""

import http.client
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from tests.integration.served import reference


@dataclass
class Tally:
    """What became of the requests of all clients."""

    answered: int = 0
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    refused_connections: int = 0
    answers: list[tuple[float, float, str]] = field(default_factory=list)

    def times(self, version: str) -> tuple[list[float], list[float]]:
        """When requests were sent, and when their answers were there, that this version has computed."""
        of_version = [(sent, there) for sent, there, computed_by in self.answers if computed_by == version]
        return [sent for sent, _ in of_version], [there for _, there in of_version]


class Clients:
    """`count` threads, each with a keep-alive connection, asking for random rows until told to stop.

    `seeds` says of each version which weights its answers must be computed with.
    """

    def __init__(
        self,
        address: tuple[str, int],
        count: int,
        path: str = "/v2/models/mlp/infer",
        seeds: Mapping[str, int] | None = None,
    ) -> None:
        self._seeds = {"1": 0} if seeds is None else seeds
        self.tally = Tally()
        self._address = address
        self._path = path
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> Tally:
        """Let every client finish its request."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"
        return self.tally

    def _run(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        while not self._stop.is_set():
            if connection.sock is None:
                try:
                    connection.connect()
                except OSError:  # the listener is gone: nothing was asked
                    with self._lock:
                        self.tally.refused_connections += 1
                    return
            self._ask(connection, rng.normal(size=(1, 64)).astype(np.float32))
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, x: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"
    ) -> None:
        sent = time.monotonic()
        tensor = {"name": "x", "shape": [1, 64], "datatype": "FP32", "data": x.ravel().tolist()}
        try:
            connection.request("POST", self._path, json.dumps({"inputs": [tensor]}))
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            with self._lock:
                self.tally.lost.append(repr(error))
            return
        with self._lock:
            self._count(response.status, body, x)
            if response.status == 200:
                self.tally.answers.append((sent, time.monotonic(), json.loads(body)["model_version"]))

    def _count(self, status: int, body: bytes, x: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> None:
        if status != 200:
            self.tally.wrong.append(f"{status} {body!r}")
            return
        content = json.loads(body)
        answer = np.array(content["outputs"][0]["data"], np.float32)
        if np.allclose(answer, reference(x, self._seeds[content["model_version"]])[0], rtol=1e-3, atol=1e-3):
            self.tally.answered += 1
        else:
            self.tally.wrong.append("an answer that belongs to another request")
