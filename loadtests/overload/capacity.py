"""What a service can do at most: alone, and beside a generator that offers the rest to a server that refuses it."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from loadtests import wrk
from loadtests.process_tree import own_cpu_seconds
from loadtests.request import Request
from loadtests.served import HOST, Served, free_port, serving
from service.client.arrivals import poisson
from service.client.open_loop import Offer, offer

REFUSED = 503
CONNECTIONS = (4, 8, 12, 16, 20, 24, 32)
"""Clients of a closed loop, and so at most the rows of a batch, among which the best is looked for."""


class SloError(Exception):
    """The service can't keep the SLO with the fewest clients that were tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """Requests per second of a closed loop, its p99 in seconds, and the front's own CPU seconds for each of them.

    `refusal_cpu` is what another server took for each request that it refused meanwhile; nan when there was none.
    """

    throughput: float
    p99: float
    front_cpu: float
    refusal_cpu: float = float("nan")


@contextmanager
def refusing() -> Iterator[Served]:
    """A server that answers every request with 503, while the block runs."""
    port = free_port()
    command = [sys.executable, "-m", "loadtests.overload.refusing", str(port)]
    with serving(command, port=port, ready="/") as served:
        yield served


def best_connections(served: Served, request: Request, slo: float, seconds: int) -> int:
    """The number of clients with the highest throughput among those whose p99 is within `slo`.

    Where it never is, the machine may have stood still for a moment: they are tried once more. Raises SloError.
    """
    found: dict[int, Capacity] = {}
    for _ in range(2):
        found = {count: closed_loop(served, request, count, seconds) for count in CONNECTIONS}
        fitting = [count for count, one in found.items() if one.p99 <= slo]
        if fitting:
            return max(fitting, key=lambda count: found[count].throughput)
    fewest = found[CONNECTIONS[0]]
    raise SloError(f"p99 is {fewest.p99 * 1e3:.0f} ms with {CONNECTIONS[0]} clients: beyond the SLO already")


def closed_loop(served: Served, request: Request, connections: int, seconds: int) -> Capacity:
    """So many clients, each of which waits for its answer."""
    before = own_cpu_seconds(served.pid)
    load = wrk.run(served.url, request, connections=connections, seconds=seconds, slow=True)
    used = own_cpu_seconds(served.pid) - before
    return Capacity(throughput=load.throughput, p99=load.p99_ms / 1e3, front_cpu=used / load.requests)


def beside(
    served: Served, request: Request, connections: int, seconds: int, *, rest: float, other: Served, seed: int
) -> Capacity:
    """The same while the generator offers `rest` requests per second to the server `other`."""
    with ThreadPoolExecutor(1) as threads:
        capacity = threads.submit(closed_loop, served, request, connections, seconds)
        before = own_cpu_seconds(other.pid)
        refused = offer(to(other, request, poisson(rest, seconds, seed), seconds)).count((REFUSED,))
        used = own_cpu_seconds(other.pid) - before
        return replace(capacity.result(), refusal_cpu=used / refused if refused else float("nan"))


def to(served: Served, request: Request, arrivals: Sequence[float], seconds: float) -> Offer:
    """An offer of `request` to a server."""
    host = f"{HOST}:{served.port}"
    return Offer(host=HOST, port=served.port, requests=[request.raw(host)], arrivals=arrivals, seconds=seconds)
