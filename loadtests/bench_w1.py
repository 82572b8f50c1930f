"""W1: a tiny network behind the whole path of a request, against mosec that parses and answers the same body.

`python -m loadtests.bench_w1` measures both servers of a pair in turns of one second, the order turned round each time,
and writes the section "w1" of RESULTS.md. What decides is the processor time of the server's process tree per request:
on shared cores throughput jumps by a factor of two within seconds. So does processor time when a neighbour is busy, but
then for both servers alike, since the other one's turn is a second away. The server whose turn it isn't is idle.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from loadtests import mosec_environment, results, tiny_mlp, w1_report, wrk
from loadtests.one_connection import OneConnection
from loadtests.process_tree import cpu_seconds
from loadtests.raw_runtime import RawRuntime
from loadtests.served import ROOT, Served, free_port, hone, serving

CONNECTIONS = 64
WARM_SECONDS = 1
TURN_SECONDS = 1
BLOCKS, BLOCK = 4, 250
READY_SECONDS = 30.0
GOAL_NOT_MET = 4

One = TypeVar("One")


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A server that takes part: how it is started, and where it takes requests."""

    name: str
    start: Callable[[], AbstractContextManager[Served]]
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One server, measured once. `alone` is one connection, `raw` is `session.run` in between, in this process."""

    server: str
    cpu_micros: float
    throughput: float
    p50_ms: float
    p99_ms: float
    alone_p50_ms: float
    raw_p50_ms: float


def main() -> int:
    """Measure, print and write; 4 when the goal is missed and `--check` asks, else 0."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="hone-w1-") as folder:
        model = tiny_mlp.write_repository(Path(folder))
        runtime = RawRuntime(model)
        contenders = [one for one in _contenders(Path(folder), model) if options.only in (None, one.name)]
        measured: list[Measured] = []
        for pair in range(options.pairs):
            for one in measure(turned(contenders, pair), runtime, options.seconds):
                measured.append(one)
                print(w1_report.line(asdict(one)), flush=True)
        figures = w1_report.figures([asdict(one) for one in measured], runtime.ceiling(), options.seconds)
    if options.only:
        return 0
    section = w1_report.section(figures)
    print(section)
    results.write("w1", section, figures)
    return GOAL_NOT_MET if options.check and not figures["summary"]["goal_met"] else 0


def turned(ones: Sequence[One], turn: int) -> Sequence[One]:
    """ABBA: every other turn goes the other way round, so that drift cancels."""
    return ones if turn % 2 == 0 else ones[::-1]


def request_body() -> bytes:
    """One request in the Open Inference Protocol's JSON, its numbers with six decimals."""
    values = [round(value, 6) for value in tiny_mlp.sample()[0].tolist()]
    tensor = {"name": tiny_mlp.INPUT, "shape": [1, len(values)], "datatype": "FP32", "data": values}
    return orjson.dumps({"id": "w1", "inputs": [tensor]})


def measure(contenders: Sequence[Contender], runtime: RawRuntime, seconds: int) -> list[Measured]:
    """Start the servers, check their answers, warm them up, and measure each alone and, in turns, under load."""
    body = request_body()
    with ExitStack() as stack:
        rivals = [Rival(one, stack.enter_context(one.start()), body) for one in contenders]
        for rival in rivals:
            check_answer(first_answer(rival.url, body), runtime.answer(tiny_mlp.sample()))
            wrk.run(rival.url, body.decode(), connections=CONNECTIONS, seconds=WARM_SECONDS)
        alone = [_alone(rival.url, body, runtime) for rival in rivals]
        for turn in range(seconds):
            for rival in turned(rivals, turn):
                rival.load()
        return [rival.measured(*times) for rival, times in zip(rivals, alone, strict=True)]


class Rival:
    """A running server and the load it was given, a second at a time."""

    def __init__(self, contender: Contender, served: Served, body: bytes) -> None:
        self.url = served.url + contender.path
        self._name = contender.name
        self._pid = served.pid
        self._body = body.decode()
        self._used = 0.0
        self._loads: list[wrk.Load] = []

    def load(self) -> None:
        """One second of load, and the processor time it took."""
        before = cpu_seconds(self._pid)
        self._loads.append(wrk.run(self.url, self._body, connections=CONNECTIONS, seconds=TURN_SECONDS))
        self._used += cpu_seconds(self._pid) - before

    def measured(self, alone: float, raw: float) -> Measured:
        """All turns together; percentiles are medians of the turns' own."""
        requests = sum(load.requests for load in self._loads)
        return Measured(
            server=self._name,
            cpu_micros=self._used / requests * 1e6,
            throughput=requests / sum(load.seconds for load in self._loads),
            p50_ms=statistics.median(load.p50_ms for load in self._loads),
            p99_ms=statistics.median(load.p99_ms for load in self._loads),
            alone_p50_ms=alone * 1e3,
            raw_p50_ms=raw * 1e3,
        )


def first_answer(url: str, body: bytes) -> bytes:
    """The answer to one request, tried again while the server isn't ready for it. Raises what the last try raised."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with OneConnection(url, body) as client:
                return client.timed()[1]
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def check_answer(answer: bytes, expected: NDArray[np.float32]) -> None:
    """Raises ValueError unless the answer is the protocol's, echoes the id and holds the network's outputs."""
    body = orjson.loads(answer)
    (output,) = body["outputs"]
    head = (body["model_name"], body["id"], output["name"], output["datatype"], output["shape"])
    if head != (tiny_mlp.NAME, "w1", tiny_mlp.OUTPUT, "FP32", list(expected.shape)):
        raise ValueError(f"the server answered {head}")
    if not np.allclose(np.array(output["data"], dtype=np.float32).reshape(expected.shape), expected, atol=1e-5):
        raise ValueError("the server's outputs differ from the runtime's")


def _alone(url: str, body: bytes, runtime: RawRuntime) -> tuple[float, float]:
    """Median seconds of a request on the only connection, and of `session.run` in a tight loop, in turns of a block."""
    sample = tiny_mlp.sample()
    requests: list[float] = []
    runs: list[float] = []
    with OneConnection(url, body) as client:
        for _ in range(BLOCKS):
            requests += [client.timed()[0] for _ in range(BLOCK)]
            runs += [runtime.timed(sample) for _ in range(BLOCK)]
    return statistics.median(requests), statistics.median(runs)


def _contenders(repository: Path, model: Path) -> list[Contender]:
    python = mosec_environment.prepare()

    def mosec() -> AbstractContextManager[Served]:
        port = free_port()
        command = [
            str(python),
            str(ROOT / "loadtests" / "mosec_peer.py"),
            "--address",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        environment = {**os.environ, "W1_MODEL": str(model)}
        return serving(command, port=port, ready="/", environment=environment)

    return [
        Contender(name="hone", start=lambda: hone(repository), path=f"/v2/models/{tiny_mlp.NAME}/infer"),
        Contender(name="mosec", start=mosec, path="/inference"),
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_w1", description=__doc__)
    parser.add_argument("--pairs", type=int, default=8, help="interleaved pairs of servers (8)")
    parser.add_argument("--seconds", type=int, default=5, help="turns of a second that each server has in a pair (5)")
    parser.add_argument("--only", choices=["hone", "mosec"], help="one server only, nothing is written")
    parser.add_argument("--check", action="store_true", help=f"exit with {GOAL_NOT_MET} when the goal is missed")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
