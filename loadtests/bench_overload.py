"""Calm under overload: `make bench-overload` offers W5 up to ten times what the service can do.

An open loop with Poisson arrivals: latency counts from the scheduled send, and no answer delays a request. What a
service could reach at k times its capacity is capacity(k): its closed-loop throughput while the same generator offers
the other k - 1 times to a bare server that answers 503, since generator and service share the machine's cores.

`--factors 2 5` measures some and renews their rows alone; `--add` adds its rounds to those that were measured with the
same settings at the same commit. Every round is written when it is through, so nothing is lost by a stop.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
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
MOST = 20.0
SWEEP_SECONDS = 5
BEGIN_SECONDS = 30.0
"""Until the network is made, the service is ready and has answered right, about."""

PATIENCE_SECONDS = 1.0
"""What a measurement takes longer than its seconds, about."""


def main() -> int:
    """Measure, print and write; 1 when a target is missed."""
    options = _options()
    leave_on_sigterm()
    print(f"about {forecast(options.factors, options.seconds, options.rounds) / 60:.0f} minutes", flush=True)
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
            added = overload_report.Rounds(settings, keep=options.add)
            for turn in range(options.rounds):
                added.write(bench.round(options.factors, turn))
    print(overload_report.section(overload_report.entries()))
    return 0 if added.met else 1


def forecast(factors: Sequence[float], seconds: int, rounds: int) -> float:
    """Seconds that all of it takes, about: the closed loop alone, and each factor, beyond 1 beside capacity(k)."""
    measurements = 1 + sum(2 if factor > 1 else 1 for factor in factors)
    sweep = len(capacity.CONNECTIONS) * (min(seconds, SWEEP_SECONDS) + PATIENCE_SECONDS)
    return BEGIN_SECONDS + sweep + rounds * measurements * (seconds + PATIENCE_SECONDS)


class Bench:
    """Owns a measurement of the service beside the server that refuses. `limited` is `request` with the SLO in it."""

    def __init__(
        self, *, served: Served, other: Served, request: Request, limited: Request, settings: Settings
    ) -> None:
        self._served, self._other = served, other
        self._request, self._limited = request, limited
        self._settings = settings

    def round(self, factors: Sequence[float], turn: int) -> list[Point]:
        """Each of `factors` once: what is possible there and what the service does, one right after the other."""
        settings = self._settings
        alone = capacity.closed_loop(self._served, self._request, settings.connections, settings.seconds)
        points = []
        for index, factor in enumerate(factors):
            rate, seed = factor * alone.throughput, turn * len(factors) + index
            possible, found = alone, None
            for one in turned(("possible", "service"), turn):
                if one == "service":
                    found = self._service(rate, seed)
                elif factor > 1:
                    possible = self._possible(rate - alone.throughput, seed)
            assert found is not None
            outcome, front, generator = found
            point = Point.of(
                outcome,
                factor=factor,
                possible=possible,
                micros=overload_report.rejection_micros(outcome, front, alone.front_cpu),
                slo=settings.slo,
                generator=generator,
            )
            points.append(point)
            print(overload_report.line(points[-1]), flush=True)
        return points

    def _service(self, rate: float, seed: int) -> tuple[Outcome, float, float]:
        """What becomes of `rate` requests per second; processor seconds of the service's front and the generator."""
        arrivals = poisson(rate, self._settings.seconds, seed)
        front, generator = own_cpu_seconds(self._served.pid), time.process_time()
        outcome = offer(capacity.to(self._served, self._limited, arrivals, self._settings.seconds))
        return outcome, own_cpu_seconds(self._served.pid) - front, time.process_time() - generator

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
    everything = " ".join(f"{factor:g}" for factor in FACTORS)
    parser.add_argument(
        "--factors", type=_factor, nargs="+", default=FACTORS, help=f"times capacity to offer ({everything})"
    )
    parser.add_argument("--seconds", type=int, default=60, help="length of each point (60)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of all points; medians are told (3)")
    parser.add_argument("--slo-ms", type=float, default=250.0, help="the deadline of every request (250)")
    parser.add_argument("--add", action="store_true", help="add the rounds to those of before")
    return parser.parse_args()


def _factor(text: str) -> float:
    factor = float(text)
    if not 0 < factor <= MOST:
        raise argparse.ArgumentTypeError(f"{text}: a factor is above 0 and at most {MOST:g}")
    return factor


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ServerError, SloError, ValueError, WrkError) as error:
        sys.exit(str(error))
