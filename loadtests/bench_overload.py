"""Calm under overload: `make bench-overload` offers W5 up to ten times what the service can do.

An open loop with Poisson arrivals: latency counts from the scheduled send, and no answer delays a request. What a
service could reach at k times its capacity is capacity(k): its closed-loop throughput while the same generator offers
the other k - 1 times to a bare server that answers 503, since generator and service share the machine's cores.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from loadtests import overload_report
from loadtests.lone import check_answer, first_answer
from loadtests.overload import capacity
from loadtests.overload.capacity import Capacity, SloError
from loadtests.overload_report import Point, Settings
from loadtests.process_tree import own_cpu_seconds
from loadtests.raw_runtime import RawRuntime
from loadtests.request import Request, output_of
from loadtests.served import Served, ServerError, hone, leave_on_sigterm
from loadtests.turns import turned
from loadtests.workloads.cache import write_repository
from loadtests.workloads.catalogue import W5
from loadtests.wrk import WrkError
from service.client.arrivals import poisson
from service.client.open_loop import offer
from service.client.outcome import Outcome

FACTORS = (0.5, 1.0, 2.0, 5.0, 10.0)
SWEEP_SECONDS = 5


def main() -> int:
    """Measure, print and write; 1 when a target is missed."""
    options = _options()
    leave_on_sigterm()
    slo = options.slo_ms / 1e3
    request = W5.request()
    limited = replace(request, headers={**request.headers, "X-Request-Timeout-Ms": f"{options.slo_ms:g}"})
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as scratch:
        repository = Path(scratch, "models")
        runtime = RawRuntime(write_repository(repository, W5), threads=W5.threads)
        flags = ("--cache-dir", str(Path(scratch, "cache")))
        with hone(repository, flags=flags) as served, capacity.refusing() as other:
            check_answer(output_of(first_answer(served.url, request)), runtime.answer(W5.sample()))
            connections = capacity.best_connections(served, request, slo, min(options.seconds, SWEEP_SECONDS))
            settings = Settings(slo=slo, seconds=options.seconds, connections=connections)
            bench = Bench(served=served, other=other, request=request, limited=limited, settings=settings)
            points = [point for turn in range(options.rounds) for point in bench.round(turn)]
    figures = overload_report.figures(points, settings)
    print(overload_report.write(figures))
    return 0 if figures["met"] else 1


class Bench:
    """Owns a measurement of the service beside the server that refuses. `limited` is `request` with the SLO in it."""

    def __init__(
        self, *, served: Served, other: Served, request: Request, limited: Request, settings: Settings
    ) -> None:
        self._served, self._other = served, other
        self._request, self._limited = request, limited
        self._settings = settings

    def round(self, turn: int) -> list[Point]:
        """Every factor once: what is possible there and what the service does, one right after the other."""
        settings = self._settings
        alone = capacity.closed_loop(self._served, self._request, settings.connections, settings.seconds)
        points = []
        for index, factor in enumerate(FACTORS):
            rate, seed = factor * alone.throughput, turn * len(FACTORS) + index
            possible, outcome, front = alone, None, 0.0
            for one in turned(("possible", "service"), turn):
                if one == "service":
                    outcome, front = self._service(rate, seed)
                elif factor > 1:
                    possible = self._possible(rate - alone.throughput, seed)
            assert outcome is not None
            micros = overload_report.rejection_micros(outcome, front, alone.front_cpu)
            point = Point.of(outcome, factor=factor, possible=possible.throughput, micros=micros, slo=settings.slo)
            points.append(point)
            print(overload_report.line(points[-1]), flush=True)
        return points

    def _service(self, rate: float, seed: int) -> tuple[Outcome, float]:
        """What becomes of `rate` requests per second, and the processor seconds of the service's front."""
        arrivals = poisson(rate, self._settings.seconds, seed)
        before = own_cpu_seconds(self._served.pid)
        outcome = offer(capacity.to(self._served, self._limited, arrivals, self._settings.seconds))
        return outcome, own_cpu_seconds(self._served.pid) - before

    def _possible(self, rest: float, seed: int) -> Capacity:
        """The service's throughput while somebody else refuses the rest."""
        settings = self._settings
        return capacity.beside(
            self._served,
            self._request,
            settings.connections,
            settings.seconds,
            rest=rest,
            other=self._other,
            seed=seed,
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_overload", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="length of each point (60)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all points; medians are told (3)")
    parser.add_argument("--slo-ms", type=float, default=250.0, help="the deadline of every request (250)")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ServerError, SloError, ValueError, WrkError) as error:
        sys.exit(str(error))
