"""What there is to ask: the server's metadata, a model that is ready, and inputs for it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.client.conformance.expectation import CheckFailed
from service.client.conformance.http_client import Answer, HttpClient, UnreachableError
from service.client.conformance.sample import made_up, parse_shapes, read_file
from service.client.conformance.target import Target

if TYPE_CHECKING:
    from service.client.conformance.rpc import Rpc

_READY = json.dumps({"ready": True}).encode()
_LOOKED_AT = 16
"""Models whose configurations are read to find a plain one."""


class WrongOptionError(Exception):
    """What the user gave doesn't fit the server, or something is missing; the text names the option."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the user says of the model: its name, sizes of its variable dims, a file with a request that it takes."""

    model: str = ""
    shapes: Sequence[str] = ()
    data: Path | None = None


def discover(http: HttpClient, rpc: "Rpc | None", wanted: Wanted, seconds: float) -> Target:
    """Ask the server what it is; `seconds` for all of it. Raises UnreachableError and WrongOptionError."""
    http.allow(seconds)
    try:
        described = http.get("/v2")
        server = _object(described)
        try:
            target = _asked(http, rpc, wanted, server)
        except WrongOptionError:
            if server:
                raise
            raise UnreachableError(
                f"{http.url} doesn't speak the protocol: GET /v2 is answered {described.brief}"
            ) from None
    except TimeoutError:
        raise UnreachableError(f"{http.url} doesn't answer within {seconds:g} s") from None
    except (OSError, HTTPException) as error:
        raise UnreachableError(f"{http.url} doesn't answer: {str(error) or type(error).__name__}") from None
    except CheckFailed as error:
        raise UnreachableError(f"{http.url} can't be asked: {error}") from None
    _fill(target, wanted)
    return target


def _asked(http: HttpClient, rpc: "Rpc | None", wanted: Wanted, server: Mapping[str, Any]) -> Target:
    """The target with what the server says of the model. Raises WrongOptionError where it has none that is ready."""
    model = wanted.model or _plainest(http, _ready(http), server)
    target = Target(http=http, rpc=rpc, server=server, model=model, given=wanted.data is not None)
    found = http.get(target.path())
    if found.status != 200 and http.get(target.path("/ready")).status != 200:
        raise WrongOptionError(f"--model: the server has no model {model} that is ready ({found.brief})")
    target.metadata = _sound(_object(found))
    target.config = _object(http.get(target.path("/config"))) if "model_configuration" in target.extensions else {}
    return target


def _ready(http: HttpClient) -> Sequence[str]:
    """The names of the models that are ready, one at least. Raises WrongOptionError."""
    answer = http.post("/v2/repository/index", _READY)
    try:
        entries = answer.json() if answer.status == 200 else None
    except CheckFailed:
        entries = None
    if not isinstance(entries, list):
        raise WrongOptionError("the server has no repository index: name a model with --model NAME")
    listed = [entry for entry in entries if isinstance(entry, dict) and entry.get("state", "READY") == "READY"]
    names = [entry["name"] for entry in listed if isinstance(entry.get("name"), str)]
    if not names:
        raise WrongOptionError("the repository index has no model that is READY: name one with --model NAME")
    return names


def _plainest(http: HttpClient, names: Sequence[str], server: Mapping[str, Any]) -> str:
    """The first that is plain by its configuration; the first of all where none is, or the server tells none."""
    for name in names[:_LOOKED_AT]:
        target = Target(http=http, rpc=None, server=server, model=name)
        if "model_configuration" not in target.extensions:
            break
        if _is_plain(_object(http.get(target.path("/config")))):
            return name
    return names[0]


def _is_plain(config: Mapping[str, Any]) -> bool:
    """Whether there is a configuration, and it has no sequences, steps, further answers or cache."""
    schedulers = [config.get(key) for key in ("sequence_batching", "ensemble_scheduling")]
    switches = [config.get(key) for key in ("model_transaction_policy", "response_cache")]
    is_on = any(isinstance(one, dict) and any(one.values()) for one in switches)  # off is written by some servers
    return bool(config) and not is_on and all(one is None for one in schedulers)


def _object(answer: Answer) -> dict[str, Any]:
    """The JSON object of a successful answer; empty for any other, which the checks look at."""
    try:
        return answer.object()
    except CheckFailed:
        return {}


def _sound(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metadata that inputs can be made from; empty otherwise, which the checks look at."""
    tensors = [metadata.get("inputs"), metadata.get("outputs")]
    is_sound = all(isinstance(part, list) and all(map(_is_tensor, part)) for part in tensors)
    return metadata if is_sound else {}


def _is_tensor(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("datatype"), str)
        and isinstance(entry.get("shape"), list)
        and all(type(axis) is int for axis in entry["shape"])
    )


def _fill(target: Target, wanted: Wanted) -> None:
    """Give the target its inputs, or the reason why it has none. Raises WrongOptionError."""
    try:
        shapes = parse_shapes(wanted.shapes)
        if wanted.data:
            target.inputs, target.parameters = read_file(wanted.data)
            return
    except ValueError as error:
        raise WrongOptionError(str(error)) from None
    if not target.metadata:
        target.problem = "the model's metadata can't be read: give a request that it takes with --data FILE.json"
        return
    try:
        target.inputs = made_up(target.metadata["inputs"], shapes)
    except ValueError as error:
        if str(error).startswith("--"):
            raise WrongOptionError(str(error)) from None
        target.problem = f"{error}: give a request that the model takes with --data FILE.json"
