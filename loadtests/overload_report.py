"""What the overload bench comes to: medians over rounds against the targets, as JSON and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from loadtests import results
from loadtests.overload.capacity import REFUSED, Capacity
from loadtests.target import Target, told
from loadtests.workloads.catalogue import W5
from service.client.outcome import SKIPPED, Outcome

NAME = "bench-overload"
PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson", "torch", "transformers")
ACCEPTED = (200, 504)
"""Statuses of what the service took on: answered, or too late for an answer."""

GOODPUT = {2.0: 0.95, 5.0: 0.9, 10.0: 0.85}
"""Least share of capacity(k) that is answered within the SLO, by k."""

REJECTION_MS, REJECTION_MICROS = 5.0, 60.0
COLUMNS = (
    "times capacity",
    "rounds",
    "offered/s",
    "capacity(k)/s",
    "goodput/s",
    "share of capacity(k) [range]",
    "accepted: p50 / p99 / p99.9 ms",
    "rejected",
    "rejection: p50 / p99 ms",
    "front's CPU-µs a rejection (the bare server's)",
    "late, expired, other",
    "skipped",
    "sent late, p99 ms",
    "generator's cores",
    "commit",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """`slo` in seconds; the closed loop has `connections` clients, each point lasts `seconds`."""

    slo: float
    seconds: int
    connections: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One factor in one round. Times in milliseconds, rates per second; nan where there is nothing to tell.

    `late` were answered with 200 after the SLO. `rejection_micros` is the processor time of the service's front beyond
    what its accepted requests take it in the closed loop, for each rejection, `bare_micros` what the bare server takes
    for a 503 beside the closed loop; `generator_cores` is what the generator
    took of the machine that it shares with the service.
    """

    factor: float
    offered: float
    possible: float
    goodput: float
    counts: dict[str, int]
    late: int
    accepted_ms: list[float]
    rejection_ms: list[float]
    rejection_micros: float
    bare_micros: float
    skipped: int
    lag_p99_ms: float
    generator_cores: float

    @classmethod
    def of(
        cls, outcome: Outcome, *, factor: float, possible: Capacity, micros: float, slo: float, generator: float
    ) -> Self:
        """From what became of the requests; `micros` as `rejection_micros` has them, `generator` in CPU seconds."""
        goodput = outcome.goodput(slo)
        return cls(
            factor=factor,
            offered=outcome.offered,
            possible=possible.throughput,
            goodput=goodput,
            counts=outcome.counts(),
            late=outcome.count((200,)) - round(goodput * outcome.seconds),
            accepted_ms=[value * 1e3 for value in outcome.percentiles(ACCEPTED, (50, 99, 99.9))],
            rejection_ms=[value * 1e3 for value in outcome.percentiles((REFUSED,), (50, 99))],
            rejection_micros=micros,
            bare_micros=possible.refusal_cpu * 1e6,
            skipped=outcome.count((SKIPPED,)),
            lag_p99_ms=outcome.lag(99) * 1e3,
            generator_cores=generator / outcome.seconds,
        )

    @classmethod
    def read(cls, figures: Mapping[str, Any]) -> Self:
        """From the twin, which has null for nan."""
        return cls(**{key: _numbers(value) for key, value in figures.items()})

    @property
    def other(self) -> int:
        """Requests that ended in none of the ways that a service should end them."""
        expected = {"200", "503", "504", "skipped"}
        return sum(count for status, count in self.counts.items() if status not in expected)


def rejection_micros(outcome: Outcome, front: float, front_each: float) -> float:
    """Microseconds a rejection, of the `front` seconds that the service's front used; `front_each` for an accepted one.

    nan when nothing was rejected.
    """
    rejected, accepted = outcome.count((REFUSED,)), outcome.count(ACCEPTED)
    return (front - accepted * front_each) / rejected * 1e6 if rejected else float("nan")


class Rounds:
    """Owns the rounds of each factor that are to be written: those measured now, behind earlier ones if they are kept.

    Earlier ones are kept only where they were measured at this commit, with the same SLO and length of a point.
    """

    def __init__(self, settings: Settings, *, keep: bool) -> None:
        self._settings = settings
        self._about = results.circumstances(PACKAGES)
        self._before = entries() if keep else {}
        self._points: dict[str, list[Point]] = {}

    @property
    def met(self) -> bool:
        """Whether every target of the factors that were measured now is."""
        return all(one["met"] for factor, one in entries().items() if factor in self._points)

    def write(self, points: Sequence[Point]) -> None:
        """Renew the rows of these points' factors with one round more; rows of other factors stay."""
        renewed = dict(entries())
        for point in points:
            factor = f"{point.factor:g}"
            ones = self._points.setdefault(factor, self._earlier(factor))
            ones.append(point)
            renewed[factor] = entry(ones, self._settings, self._about)
        results.write(NAME, section(renewed), {"bench": NAME, "factors": renewed})

    def _earlier(self, factor: str) -> list[Point]:
        old = self._before.get(factor)
        own = asdict(self._settings)
        if old is None or old["commit"] != self._about["commit"]:
            return []
        if any(old["settings"][key] != own[key] for key in ("slo", "seconds")):
            return []
        return [Point.read(one) for one in old["points"]]


def entry(points: Sequence[Point], settings: Settings, about: Mapping[str, Any]) -> dict[str, Any]:
    """One factor's part of the twin: every round, the medians, the targets."""
    targets = _targets(points[0].factor, points, settings)
    return {
        **about,
        "settings": asdict(settings),
        "points": [asdict(point) for point in points],
        "medians": _median(points),
        "targets": [target.figures() for target in targets],
        "met": all(target.met for target in targets),
    }


def entries() -> dict[str, Mapping[str, Any]]:
    """Everything that was measured on this machine so far, by factor."""
    return results.here(results.twin(NAME).get("factors", {}))


def section(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of RESULTS.md."""
    known = [measured[factor] for factor in sorted(measured, key=float)]
    newest = max(known, key=lambda one: str(one["date"]))
    settings = newest["settings"]
    return f"""\
## Overload: {W5.title}, SLO {settings["slo"] * 1e3:.0f} ms

{results.told(newest)}

`make bench-overload`: open loop, Poisson arrivals, latency from the scheduled send; medians over rounds. capacity(k): \
the closed loop's throughput ({settings["connections"]} clients) while the same generator offers the rest to a bare \
server that answers 503. Generator and service share the cores. Accepted: answered, or expired after admission.

{results.table(COLUMNS, [_row(one) for one in known])}
{told([target for one in known for target in one["targets"]])}"""


def line(point: Point) -> str:
    """One point, for whoever waits at the terminal."""
    about = {"medians": _median([point]), "points": [point], "commit": ""}
    cells = zip(COLUMNS, _row(about), strict=True)
    return "  ".join(f"{name}: {cell}" for name, cell in cells)


def _median(ones: Sequence[Point]) -> dict[str, Any]:
    """Of one factor over all rounds."""
    shares = [one.goodput / min(one.offered, one.possible) for one in ones]

    def middle(key: str) -> float:
        return float(statistics.median(getattr(one, key) for one in ones))

    def middles(key: str) -> list[float]:
        return [statistics.median(values) for values in zip(*(getattr(one, key) for one in ones), strict=True)]

    keys = (
        "factor",
        "offered",
        "possible",
        "goodput",
        "rejection_micros",
        "bare_micros",
        "lag_p99_ms",
        "generator_cores",
    )
    return {
        **{key: middle(key) for key in keys},
        **{key: middles(key) for key in ("accepted_ms", "rejection_ms")},
        "share": statistics.median(shares),
        "share_range": [min(shares), max(shares)],
        "rejected": statistics.median(one.counts.get(str(REFUSED), 0) / sum(one.counts.values()) for one in ones),
        "late": sum(one.late for one in ones),
        "expired": sum(one.counts.get("504", 0) for one in ones),
        "other": sum(one.other for one in ones),
        "skipped": sum(one.skipped for one in ones),
    }


def _row(measured: Mapping[str, Any]) -> tuple[str, ...]:
    one = {key: _numbers(value) for key, value in measured["medians"].items()}
    low, high = one["share_range"]
    rounds, seconds = len(measured["points"]), measured.get("settings", {}).get("seconds")
    return (
        f"{one['factor']:g}",
        f"{rounds} x {seconds} s" if seconds else f"{rounds}",
        f"{one['offered']:,.0f}",
        f"{one['possible']:,.1f}",
        f"{one['goodput']:,.1f}",
        f"**{one['share']:.2f}** [{low:.2f}-{high:.2f}]",
        " / ".join(f"{value:.0f}" for value in one["accepted_ms"]),
        f"{one['rejected']:.1%}",
        " / ".join(f"{value:.2f}" for value in one["rejection_ms"]) if one["rejected"] else "",
        f"{one['rejection_micros']:.0f} ({one['bare_micros']:.0f})".removesuffix(" (nan)") if one["rejected"] else "",
        f"{one['late']}, {one['expired']}, {one['other']}",
        str(one["skipped"]),
        f"{one['lag_p99_ms']:.1f}",
        f"{one['generator_cores']:.2f}",
        measured["commit"],
    )


def _numbers(value: Any) -> Any:
    """A value of the twin with nan where it has null."""
    if value is None:
        return float("nan")
    return [_numbers(one) for one in value] if isinstance(value, list) else value


def _targets(factor: float, ones: Sequence[Point], settings: Settings) -> list[Target]:
    found = _median(ones)
    if factor not in GOODPUT:
        return []
    at = f"{factor:g} times"
    return [
        Target(what=f"{at}: share of capacity(k)", value=found["share"], limit=GOODPUT[factor], at_least=True),
        Target(what=f"{at}: p99 of the accepted, ms", value=found["accepted_ms"][1], limit=settings.slo * 1e3),
        Target(what=f"{at}: a rejection, median ms", value=found["rejection_ms"][0], limit=REJECTION_MS),
        Target(what=f"{at}: the front's CPU-µs a rejection", value=found["rejection_micros"], limit=REJECTION_MICROS),
    ]
