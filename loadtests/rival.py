"""One of two servers that are compared: what it is sent, how its answers are read, what it did."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests import wrk
from loadtests.instruments import Batches
from loadtests.lone import check_answer, first_answer, lone
from loadtests.peers.environment import PeerError
from loadtests.process_tree import cpu_seconds, wait_until_idle
from loadtests.raw_runtime import RawRuntime
from loadtests.request import Request, output_of
from loadtests.served import Served
from loadtests.workloads.workload import Workload

WARM_SECONDS = 2
LONE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Alone:
    """Median milliseconds of a request on the only connection, and of `session.run` in between."""

    request: float
    run: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """A running server, what it is sent, how its answers are read, and what it says of its batches."""

    name: str
    served: Served
    request: Request
    batches: Callable[[], Batches]
    output: Callable[[bytes], NDArray[np.float64]] = output_of
    peer: bool = False

    def prove(self, workload: Workload, expected: NDArray[np.float32], tolerance: float) -> None:
        """Check an answer, then warm up. Raises PeerError for a peer, OSError, ValueError or WrkError for Hone."""
        try:
            check_answer(self.output(first_answer(self.served.url, self.request)), expected, tolerance=tolerance)
        except (OSError, ValueError) as error:
            if self.peer:
                raise PeerError(f"answers wrong: {error}") from error
            raise
        self.load(workload, WARM_SECONDS)
        self.rest()

    def alone(self, workload: Workload, runtime: RawRuntime) -> Alone:
        """One connection. Raises PeerError for a peer, OSError or ValueError for Hone."""
        try:
            found = lone(self.served.url, self.request, runtime, workload.sample(), seconds=LONE_SECONDS)
        except (OSError, ValueError) as error:
            if self.peer:
                raise PeerError(f"failed alone: {error}") from error
            raise
        return Alone(request=statistics.median(found.requests) * 1e3, run=statistics.median(found.runs) * 1e3)

    def load(self, workload: Workload, seconds: int) -> wrk.Load:
        """So many seconds of load. Raises WrkError for Hone, PeerError for a peer; a peer may refuse some of it."""
        try:
            return wrk.run(
                self.served.url,
                self.request,
                connections=workload.connections,
                seconds=seconds,
                slow=workload.slow,
                refusals=self.peer,
            )
        except wrk.WrkError as error:
            if self.peer:
                raise PeerError(f"failed under load: {error}") from error
            raise

    def rest(self) -> None:
        """Let it finish what nobody waits for any more, so that the next turn is the other's alone."""
        wait_until_idle(self.served.pid)

    def used(self) -> float:
        """Processor seconds of its process tree so far."""
        return cpu_seconds(self.served.pid)
