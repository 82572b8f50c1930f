"""What a service can promise: `make capacity` looks for the highest Poisson rate whose 99th percentile meets the SLO.

An open loop: latency counts from the scheduled send until the whole answer is there, and a request that fails breaks
the SLO. Each window of some seconds has arrivals of its own; where the generator itself was late it is discarded. The
figure is from several bisections, with the interval in which another run should find it. `--targets W1` renews one row;
the run before stays beside it. `--url http://... --model M` measures a running server, and writes nothing down.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from loadtests import capacity_report
from loadtests.bisection import Bracket, Capacity, Search, SearchError, Verdict, Window
from loadtests.capacity_report import LEAST_REQUESTS, Run, Settings
from loadtests.digits import images
from loadtests.request import binary_request
from loadtests.served import HOST, ROOT, ServerError, hone, leave_on_sigterm
from loadtests.workloads.cache import write_repository
from loadtests.workloads.catalogue import W1, W5
from loadtests.workloads.workload import Workload
from service.benching import loadable
from service.client.arrivals import poisson
from service.client.bench import DIFFERENT, Load, Measured, requests_for
from service.client.closed_loop import Demand, demand
from service.client.conformance.discovery import Wanted, WrongOptionError, discover
from service.client.conformance.http_client import UnreachableError
from service.client.open_loop import Offer, offer
from service.client.outcome import OK, Outcome

TARGETS = ("W1", "W5", "digits")
LONGEST = 4
"""Times the seconds of a window that it may be longer, for the sake of its requests."""

CLIENTS, CLOSED_SECONDS = 32, 3.0
"""The closed loop that says where to begin."""

LATEST_MS, LATE_SHARE = 2.0, 0.1
"""A window is discarded when requests were sent later than that, or than that share of the SLO, at the 99th percentile.
The generator's timers count milliseconds, so that one is always near 1 ms late.
"""

MOST_READY = 1024
"""Connections that are there before a window begins: as many as may be needed while the SLO is met, up to that. They
are those of clients that have been there for long; opened in a burst, they would be what is measured.
"""

QUIET_SECONDS = 30.0
"""How long a server may take to work off what a broken window left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """Who is measured, and with which requests, in turn."""

    name: str
    host: str
    port: int
    requests: Sequence[bytes]
    tls: bool = False


class Bench:
    """Measures windows at one server; after one that broke it may be busy for so many seconds, `quiet`."""

    def __init__(self, subject: Subject, settings: Settings, quiet: float = QUIET_SECONDS) -> None:
        self._subject = subject
        self._settings = settings
        self._quiet = quiet

    def closed_loop(self) -> float:
        """Requests per second that some clients get who wait for their answers. Raises SearchError."""
        outcome = self._demand(CLIENTS, CLOSED_SECONDS)
        answered = outcome.goodput(float("inf"))
        if not answered:
            raise SearchError(f"nothing is answered with 200: {outcome.counts()}")
        return answered

    def window(self, rate: float, seed: int) -> Window:
        """Some seconds at this rate. Raises SearchError when the server doesn't answer any more afterwards."""
        settings = self._settings
        seconds = min(max(settings.seconds, LEAST_REQUESTS / rate), LONGEST * settings.seconds)
        outcome = offer(
            Offer(
                host=self._subject.host,
                port=self._subject.port,
                tls=self._subject.tls,
                requests=self._subject.requests,
                arrivals=poisson(rate, seconds, seed),
                seconds=seconds,
                patience=2 * settings.slo,
                ready=min(MOST_READY, math.ceil(rate * settings.slo)),
            )
        )
        found = judged(outcome, rate, settings)
        print(f"  {rate:,.1f}/s: {found.why}, {found.verdict}", flush=True)
        if found.verdict is not Verdict.HELD:
            self._calm()
        return found

    def _calm(self) -> None:
        """Wait until a lone request is answered: what is left of one window mustn't count in the next."""
        until = time.monotonic() + self._quiet
        while not self._demand(1, self._quiet, most=1).count((OK,)):
            if time.monotonic() > until:
                raise SearchError(f"after a window no request was answered with 200 for {self._quiet:g} s")
            time.sleep(0.1)

    def _demand(self, clients: int, seconds: float, most: int = 1_000_000) -> Outcome:
        return demand(
            Demand(
                host=self._subject.host,
                port=self._subject.port,
                tls=self._subject.tls,
                requests=self._subject.requests,
                clients=clients,
                seconds=seconds,
                most=most,
            )
        )


def judged(outcome: Outcome, rate: float, settings: Settings) -> Window:
    """What a window says: a request that failed breaks the SLO; requests that were sent late say nothing."""
    answered = np.where(outcome.statuses == OK, outcome.latencies, np.inf)
    latency = float(np.percentile(answered, settings.percentile, method="inverted_cdf")) if len(answered) else 0.0
    measured = Measured(load=Load(rate=rate), outcome=outcome)
    lag = outcome.lag(99)
    if lag > max(LATEST_MS / 1e3, LATE_SHARE * settings.slo):
        why = f"the generator sent {lag * 1e3:.1f} ms late at the 99th percentile"
        return Window(rate=rate, latency=latency, verdict=Verdict.LATE, why=why)
    if measured.failures:
        failed = {name: count for name, count in outcome.counts().items() if name != str(OK)}
        why = "failed: " + ", ".join(f"{count} {name}" for name, count in failed.items())
        return Window(rate=rate, latency=latency, verdict=Verdict.BROKE, why=why)
    verdict = Verdict.HELD if latency <= settings.slo else Verdict.BROKE
    why = f"p{settings.percentile:g} {latency * 1e3:.1f} ms"
    return Window(rate=rate, latency=latency, verdict=verdict, why=why)


def measure(subject: Subject, settings: Settings) -> Run:
    """All bisections at one server. Raises SearchError and OSError."""
    bench = Bench(subject, settings)
    closed = bench.closed_loop()
    print(f"{subject.name}: a closed loop of {CLIENTS} clients has {closed:,.1f} requests/s", flush=True)
    search = Search(bench.window, least=20 / (LONGEST * settings.seconds), seed=settings.seed)
    brackets: list[Bracket] = search.brackets(0.8 * closed, settings.rounds)
    return Run.of(Capacity.of(brackets), brackets, search.windows, closed)


def main() -> int:
    """Measure, print and write; 1 when there is no figure."""
    options = _options()
    leave_on_sigterm()
    console = Console()
    settings = Settings(
        slo=options.slo_ms / 1e3,
        percentile=options.percentile,
        seconds=options.seconds,
        rounds=options.rounds,
        seed=options.seed,
    )
    if options.url:
        subject = _running(options)
        capacity_report.show(subject.name, measure(subject, settings), settings, console)
        return 0
    for name in options.targets:
        with _served(name) as subject:
            run = measure(subject, settings)
        capacity_report.show(name, run, settings, console)
        capacity_report.write(name, run, settings)
    print(capacity_report.section(capacity_report.entries()))
    return 0


@contextmanager
def _served(name: str) -> Iterator[Subject]:
    """A server of our own with one of TARGETS."""
    with tempfile.TemporaryDirectory(prefix="hone-capacity-") as scratch:
        repository = ROOT / "models"
        workload = {one.name: one for one in (W1, W5)}.get(name)
        if workload:
            repository = Path(scratch, "models")
            write_repository(repository, workload)
        with hone(repository, flags=("--cache-dir", str(Path(scratch, "cache")))) as served:
            host = f"{HOST}:{served.port}"
            yield Subject(name=name, host=HOST, port=served.port, requests=_requests(workload, host))


def _requests(workload: Workload | None, host: str) -> list[bytes]:
    """Of a workload, or of the committed digits."""
    if workload:
        return [workload.request(seed).raw(host) for seed in range(DIFFERENT)]
    path = "/v2/models/digits/infer"
    some = images(24)[:DIFFERENT]
    return [binary_request(path, "digits", "image", "UINT8", one[np.newaxis]).raw(host) for one in some]


def _running(options: argparse.Namespace) -> Subject:
    """A server that runs already. Raises WrongOptionError and UnreachableError."""
    http = loadable(options.url, allow_remote=options.allow_remote)
    wanted = Wanted(model=options.model, shapes=options.shape, data=options.data)
    target = discover(http, None, wanted, 10.0)
    http.allow(10.0)
    requests = requests_for(target, options.seed, binary=False)
    return Subject(name=target.model, host=http.host, port=http.port, tls=http.tls, requests=requests)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.capacity", description=__doc__)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=TARGETS, help="what is measured (all)")
    parser.add_argument("--slo-ms", type=_positive, default=250.0, help="what the percentile must meet (250)")
    parser.add_argument("--percentile", type=_percentile, default=99.0, help="above 0, below 100 (99)")
    parser.add_argument("--seconds", type=_positive, default=5.0, help="shortest length of a window (5)")
    parser.add_argument("--rounds", type=int, choices=range(2, 11), default=4, help="bisections, 2 to 10 (4)")
    parser.add_argument("--seed", type=int, default=0, help="of inputs and arrivals (0)")
    parser.add_argument("--url", default="", help="a running server of the protocol instead")
    parser.add_argument("--model", default="", help="with --url: the model (the first that is ready)")
    parser.add_argument("--shape", action="append", default=[], help="with --url: NAME:DIMS of an input that varies")
    parser.add_argument("--data", type=Path, help="with --url: file with a request in JSON that the model takes")
    parser.add_argument("--allow-remote", action="store_true", help="with --url: load a server on another machine")
    return parser.parse_args()


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: above 0")
    return number


def _percentile(text: str) -> float:
    number = float(text)
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError(f"{text}: between 0 and 100")
    return number


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WrongOptionError as wrong:
        print(f"capacity: {wrong}", file=sys.stderr)
        sys.exit(2)
    except (OSError, SearchError, ServerError, UnreachableError) as error:
        sys.exit(f"capacity: {error}")
