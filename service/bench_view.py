"""What `hone-serve bench` shows: a row for each load, and what they come to."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from service.client.bench import Measured
from service.client.outcome import OK

_POINTS = (50, 95, 99)
_LATE = 5e-3
"""Seconds at the 99th percentile: a generator that sends later than that says something of itself."""


def show(found: Sequence[Measured], slo: float | None, about: Mapping[str, Any], console: Console) -> None:
    """The table of all loads, then the verdict; `slo` in seconds."""
    numbers = ["requests/s", *(f"p{point} ms" for point in _POINTS), *([] if slo is None else ["within SLO/s"])]
    table = Table("load", *(Column(name, justify="right") for name in numbers), "failed")
    for one in found:
        table.add_row(*_row(one, slo), style=None if slo is None or one.meets(slo) else "red")
    console.print(table)
    inputs = ", ".join(f"{one['name']} {one['shape']}" for one in about["inputs"])
    server = " ".join(str(word) for word in about["server"].values() if word)
    told = f"{escape(server or about['url'])}, model {escape(about['model'])}, {about['encoding']}: {escape(inputs)}"
    console.print(told, highlight=False)
    for line in _verdict(found, slo):
        console.print(line, highlight=False)


def as_json(found: Sequence[Measured], slo: float | None, about: Mapping[str, Any]) -> dict[str, Any]:
    """The same for machines; times in milliseconds, null where there is none."""
    return {
        "schema": 1,
        **about,
        "slo_ms": None if slo is None else slo * 1e3,
        "met": None if slo is None else all(one.meets(slo) for one in found),
        "loads": [_figures(one, slo) for one in found],
    }


def _figures(one: Measured, slo: float | None) -> dict[str, Any]:
    outcome = one.outcome
    percentiles = zip(_POINTS, outcome.percentiles((OK,), _POINTS), strict=True)
    return {
        "clients": one.load.clients or None,
        "rate": one.load.rate or None,
        "seconds": outcome.seconds,
        "requests": len(outcome.statuses),
        "answered_per_second": outcome.goodput(math.inf),
        **{f"p{point}_ms": _milliseconds(value) for point, value in percentiles},
        "within_slo_per_second": None if slo is None else outcome.goodput(slo),
        "statuses": outcome.counts(),
        "failed": one.failures,
        "sent_late_p99_ms": _milliseconds(outcome.lag(99)) if one.load.rate else None,
    }


def _row(one: Measured, slo: float | None) -> list[str]:
    outcome = one.outcome
    counts = {name: count for name, count in outcome.counts().items() if name != str(OK)}
    return [
        one.load.name,
        f"{outcome.goodput(math.inf):,.1f}",
        *(_told(value) for value in outcome.percentiles((OK,), _POINTS)),
        *([] if slo is None else [f"{outcome.goodput(slo):,.1f}"]),
        ", ".join(f"{name}: {count:,}" for name, count in counts.items()),
    ]


def _verdict(found: Sequence[Measured], slo: float | None) -> list[str]:
    lines = [
        f"[yellow]{one.load.name}: sent {one.outcome.lag(99) * 1e3:.1f} ms late at the 99th percentile, "
        "which is this generator's fault and not the server's[/]"
        for one in found
        if one.load.rate and one.outcome.lag(99) > _LATE
    ]
    if slo is not None:
        missed = [one.load.name for one in found if not one.meets(slo)]
        words = "[bold green]met[/]" if not missed else f"[bold red]missed[/] by {'; '.join(missed)}"
        return [*lines, f"p99 within {slo * 1e3:g} ms and every request answered: {words}"]
    failures = sum(one.failures for one in found)
    requests = sum(len(one.outcome.statuses) for one in found)
    if failures:
        return [*lines, f"[bold red]{failures:,} of {requests:,} requests failed[/]"]
    return [*lines, f"[bold green]all of {requests:,} requests were answered[/]"]


def _told(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{seconds * 1e3:.2f}"


def _milliseconds(seconds: float) -> float | None:
    return None if math.isnan(seconds) else seconds * 1e3
