"""A server's answers to one client that waits for each: whether they are right, and how long they take."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.one_connection import OneConnection
from loadtests.raw_runtime import RawRuntime
from loadtests.request import Request

READY_SECONDS = 30.0
BLOCKS = 4
FEWEST = 5
"""Requests in a block, however long they take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lone:
    """Seconds of each request on the only connection, and of `session.run` in between."""

    requests: list[float]
    runs: list[float]


def lone(url: str, request: Request, runtime: RawRuntime, row: NDArray[Any], *, seconds: float) -> Lone:
    """Requests and calls of the bare runtime in turns of a block, for about `seconds` in all."""
    requests: list[float] = []
    runs: list[float] = []
    with OneConnection(url, request) as client:
        for _ in range(BLOCKS):
            requests += _for(seconds / BLOCKS / 2, lambda: client.timed()[0])
            runs += _for(seconds / BLOCKS / 2, lambda: runtime.timed(row))
    return Lone(requests=requests, runs=runs)


def first_answer(url: str, request: Request) -> bytes:
    """The answer to one request, tried again while the server isn't ready for it. Raises what the last try raised."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with OneConnection(url, request) as client:
                return client.timed()[1]
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def check_answer(found: NDArray[np.float64], expected: NDArray[np.float32], *, tolerance: float = 1e-3) -> None:
    """Raises ValueError unless an answer's output is `expected`, within a share of its largest value."""
    if found.shape != expected.shape:
        raise ValueError(f"the server answered shape {found.shape}, expected {expected.shape}")
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= tolerance:
        raise ValueError(f"the server's output differs from the runtime's by {difference:.1%} of its largest value")


def _for(seconds: float, once: Callable[[], float]) -> list[float]:
    end = time.perf_counter() + seconds
    found: list[float] = []
    while len(found) < FEWEST or time.perf_counter() < end:
        found.append(once())
    return found
