"""How fast is a server of which only the address is known? Closed loops of some clients, open ones at some rates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from service.client.arrivals import poisson
from service.client.closed_loop import Demand, demand
from service.client.conformance.expectation import CheckFailed
from service.client.conformance.http_client import HttpClient, Request, UnreachableError
from service.client.conformance.question import NOT_IN_JSON, in_binary, in_json
from service.client.conformance.sample import drawn
from service.client.conformance.target import Target
from service.client.open_loop import Offer, offer
from service.client.outcome import OK, Outcome
from service.messages import Tensor

DIFFERENT = 16
"""Requests with different values, sent in turn, so that a server that keeps answers computes some."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What is measured: `clients` in a closed loop or, where there are none, Poisson arrivals at `rate` a second."""

    clients: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        """In words."""
        return f"{self.clients} client{'s' * (self.clients > 1)}" if self.clients else f"Poisson, {self.rate:g}/s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """`seconds` and `most` requests for each load, whichever is reached first; `patience` in seconds for the last
    answers; `seed` of arrivals.
    """

    seconds: float
    most: int
    patience: float
    seed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """A load and what came of it."""

    load: Load
    outcome: Outcome

    @property
    def failures(self) -> int:
        """Requests that weren't answered with 200."""
        return len(self.outcome.statuses) - self.outcome.count((OK,))

    def meets(self, seconds: float, percentile: float = 99) -> bool:
        """True when every request was answered, and that share of them within so many seconds."""
        return not self.failures and self.outcome.percentiles((OK,), (percentile,))[0] <= seconds


def requests_for(target: Target, seed: int, *, binary: bool) -> list[bytes]:
    """Inference requests as they go over the wire, after the first was answered.

    Raises UnreachableError when nothing can be made up, or the server doesn't answer with 200 and a length.
    """
    if not target.inputs:
        raise UnreachableError(target.problem or "the model has no inputs")
    seeds = range(seed, seed + (1 if target.is_given else DIFFERENT))
    asked = [_request(target, target.inputs if target.is_given else drawn(target.inputs, one), binary) for one in seeds]
    try:
        answer = target.http.ask(asked[0])
    except TimeoutError:
        raise UnreachableError(f"{target.model}: an inference isn't answered in time (--timeout)") from None
    except (OSError, HTTPException, CheckFailed) as error:
        raise UnreachableError(f"{target.model}: an inference isn't answered: {error}") from None
    if answer.status != 200:
        hint = "" if target.is_given else "; say what it takes with --data FILE.json, or --shape NAME:DIMS"
        raise UnreachableError(f"{target.model}: an inference is answered {answer.brief}{hint}")
    if "content-length" not in answer.headers:
        raise UnreachableError(f"{target.model}: answers have no Content-Length, without which they can't be measured")
    parts = urlsplit(target.http.url)
    return list(dict.fromkeys(_raw(one, parts.netloc, parts.path) for one in asked))


def measure(target: Target, requests: Sequence[bytes], loads: Sequence[Load], bounds: Bounds) -> Iterator[Measured]:
    """Each load, one after the other. Raises UnreachableError when the server isn't there any more."""
    for load in loads:
        try:
            outcome = (_demanded if load.clients else _offered)(target.http, requests, load, bounds)
            yield Measured(load=load, outcome=outcome)
        except OSError as error:
            raise UnreachableError(f"{target.http.url} doesn't answer any more: {error}") from None


def _demanded(server: HttpClient, requests: Sequence[bytes], load: Load, bounds: Bounds) -> Outcome:
    return demand(
        Demand(
            host=server.host,
            port=server.port,
            tls=server.tls,
            requests=requests,
            clients=load.clients,
            seconds=bounds.seconds,
            most=bounds.most,
            patience=bounds.patience,
        )
    )


def _offered(server: HttpClient, requests: Sequence[bytes], load: Load, bounds: Bounds) -> Outcome:
    seconds = min(bounds.seconds, bounds.most / load.rate)
    return offer(
        Offer(
            host=server.host,
            port=server.port,
            tls=server.tls,
            requests=requests,
            arrivals=poisson(load.rate, seconds, bounds.seed),
            seconds=seconds,
            patience=bounds.patience,
        )
    )


def _request(target: Target, inputs: Sequence[Tensor], binary: bool) -> Request:
    names = {one.name for one in inputs if binary or one.datatype in NOT_IN_JSON}
    if not names:
        return target.request(in_json(inputs, **target.extra()))
    wanted: dict[str, Any] = {"parameters": {"binary_data_output": True}} if binary else {}
    return target.request(*in_binary(inputs, names, **target.extra(**wanted)))


def _raw(request: Request, host: str, prefix: str) -> bytes:
    headers = {"Host": host, **request.headers, "Content-Length": str(len(request.body or b""))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{request.method} {prefix}{request.path} HTTP/1.1\r\n{head}\r\n".encode() + (request.body or b"")
