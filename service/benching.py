"""The verb `bench`: how fast does a server, whichever it is, answer?"""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from service.bench_view import as_json, show
from service.client.bench import Bounds, Load, Measured, measure, requests_for
from service.client.conformance.discovery import Wanted, WrongOptionError, client_of, discover
from service.client.conformance.http_client import HttpClient
from service.client.conformance.target import Target
from service.exit_code import ExitCode
from service.settings import TargetSettings, is_loopback

Count = Annotated[int, Field(ge=1, le=1024)]
Rate = Annotated[float, Field(gt=0, le=100_000)]


class BenchSettings(TargetSettings):
    """Measure how fast any server of the Open Inference Protocol answers over HTTP, with inputs made from its metadata.

    Each number of clients is a closed loop of its own, in which everybody waits for an answer before asking again; each
    rate is an open one, with independent arrivals, whose latencies count from the scheduled send. Exit code 0: every
    request was answered; 1: one wasn't, or nobody answers, or the model refuses what was made up for it (--data); 2: an
    option is wrong; 4: with --slo-ms, one wasn't answered or a 99th percentile is above it.
    """

    encoding: Literal["json", "binary"] = Field("json", description="how tensors travel, in both directions")
    concurrency: Annotated[tuple[Count, ...], NoDecode] = Field(
        (1, 4, 16), max_length=16, description="clients at once, with commas between; 0 for none"
    )
    rate: Annotated[tuple[Rate, ...], NoDecode] = Field(
        (), max_length=16, description="requests per second of Poisson arrivals, with commas between"
    )
    seconds: Annotated[float, Field(gt=0, le=600)] = Field(3, description="length of each measurement")
    requests: Annotated[int, Field(ge=1, le=1_000_000)] = Field(50_000, description="most requests of each measurement")
    slo_ms: Annotated[float, Field(gt=0, le=3_600_000)] | None = Field(
        None, description="what the 99th percentile of each measurement is held against"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="of inputs and arrivals")
    allow_remote: bool = Field(False, description="load a server that isn't on this machine; ask its owner before")

    @field_validator("concurrency", "rate", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        words = re.findall(r"[^,\s]+", value) if isinstance(value, str) else value
        return () if words == ["0"] else words


def bench(settings: BenchSettings, console: Console) -> int:
    """Measure, and print; the exit code. Raises WrongOptionError and UnreachableError."""
    loads = [Load(clients=one) for one in settings.concurrency] + [Load(rate=one) for one in settings.rate]
    if not loads:
        raise WrongOptionError("--concurrency 0 leaves nothing to measure: give a --rate")
    http = loadable(settings.url, allow_remote=settings.allow_remote)
    target = discover(
        http, None, Wanted(model=settings.model, shapes=settings.shape, data=settings.data), settings.timeout
    )
    http.allow(settings.timeout)
    requests = requests_for(target, settings.seed, binary=settings.encoding == "binary")
    found = _measured(target, requests, loads, settings, console)
    slo = settings.slo_ms / 1e3 if settings.slo_ms else None
    about = _about(target, settings)
    if settings.as_json:
        sys.stdout.write(json.dumps(as_json(found, slo, about), indent=2) + "\n")
    else:
        show(found, slo, about, console)
    if slo is not None:
        return ExitCode.OK if all(one.meets(slo) for one in found) else ExitCode.GOAL_NOT_MET
    return ExitCode.FAILED if any(one.failures for one in found) else ExitCode.OK


def loadable(url: str, *, allow_remote: bool) -> HttpClient:
    """Who is to be loaded, on this machine unless others are allowed. Raises WrongOptionError."""
    http = client_of(url, "bench")
    if not allow_remote and not is_loopback(http.host):
        raise WrongOptionError(f"{http.host} isn't this machine: --allow-remote says that you may load it")
    return http


def _measured(
    target: Target, requests: Sequence[bytes], loads: Sequence[Load], settings: BenchSettings, console: Console
) -> list[Measured]:
    bounds = Bounds(seconds=settings.seconds, most=settings.requests, patience=settings.timeout, seed=settings.seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    found: list[Measured] = []
    # Drawn rarely: the generator shares the interpreter with it.
    with _leaving(console), Progress(*columns, console=console, transient=True, refresh_per_second=2) as progress:
        bar = progress.add_task(loads[0].name, total=len(loads))
        for one in measure(target, requests, loads, bounds):
            found.append(one)
            following = loads[len(found)].name if len(found) < len(loads) else ""
            progress.update(bar, advance=1, description=following)
    return found


@contextmanager
def _leaving(console: Console) -> Iterator[None]:
    """Signals end the process at once, with the cursor shown: what handlers raise is lost in callbacks of the loop."""

    def leave(number: int, _: FrameType | None) -> None:
        console.show_cursor()
        os._exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _about(target: Target, settings: BenchSettings) -> dict[str, Any]:
    server = {key: target.server.get(key) for key in ("name", "version")}
    return {
        "url": target.http.url,
        "server": server,
        "model": target.model,
        "encoding": settings.encoding,
        "inputs": [{"name": one.name, "shape": list(one.array.shape)} for one in target.inputs],
        "seed": settings.seed,
    }
