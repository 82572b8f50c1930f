"""What a request wants of its text: how long it may be, how tokens are chosen, and what ends it."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from service.engine.text.sampler import Sampling
from service.errors import InvalidRequest
from service.messages import Parameters
from service.quoting import quoted

MOST_STOPS, MOST_STOP_CHARACTERS = 16, 1024
MAX_TOKENS = 128
"""Where a request doesn't say."""
_MOST = 2**31 - 1
_MOST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """`max_tokens` are those of the answer. With `stream` the text is given as it is made."""

    max_tokens: int
    sampling: Sampling
    stops: Sequence[str]
    stream: bool


def wishes_of(parameters: Parameters) -> Wishes:
    """By the parameters `max_tokens`, `temperature`, `top_k`, `top_p`, `seed`, `stop` (a text), `stop_words` (texts, as
    a list in JSON, or nothing) and `stream`. Raises InvalidRequest, which names the parameter and what it may be.
    """
    seed = None if "seed" not in parameters else _whole(parameters, "seed", 0, 0, _MOST_SEED)
    return Wishes(
        max_tokens=_whole(parameters, "max_tokens", MAX_TOKENS, 1, _MOST),
        sampling=Sampling(
            temperature=_number(parameters, "temperature", 0.0, 0.0, 100.0),
            top_k=_whole(parameters, "top_k", 0, 0, _MOST),
            top_p=_share(parameters, "top_p"),
            seed=seed,
        ),
        stops=_stops(parameters),
        stream=_flag(parameters, "stream"),
    )


def _number(parameters: Parameters, key: str, default: float, least: float, most: float) -> float:
    value = parameters.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidRequest(f"parameter {key} is {quoted(value)}, expected a number from {least:g} to {most:g}")
    return float(value)


def _share(parameters: Parameters, key: str) -> float:
    value = parameters.get(key, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InvalidRequest(f"parameter {key} is {quoted(value)}, expected a share above 0, up to 1")
    return float(value)


def _whole(parameters: Parameters, key: str, default: int, least: int, most: int) -> int:
    value = parameters.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidRequest(f"parameter {key} is {quoted(value)}, expected a whole number from {least} to {most}")
    return value


def _flag(parameters: Parameters, key: str) -> bool:
    value = parameters.get(key, True)
    if not isinstance(value, bool):
        raise InvalidRequest(f"parameter {key} is {quoted(value)}, expected true or false")
    return value


def _stops(parameters: Parameters) -> Sequence[str]:
    stop, stops = parameters.get("stop"), list[str]()
    if isinstance(stop, str):
        stops = [stop]
    elif "stop" in parameters:
        raise InvalidRequest(f"parameter stop is {quoted(stop)}, expected a text")
    if parameters.get("stop_words", "") != "":
        try:
            listed = orjson.loads(str(parameters["stop_words"]))
        except orjson.JSONDecodeError:
            listed = None
        if not isinstance(listed, list) or any(not isinstance(stop, str) for stop in listed):
            raise InvalidRequest("parameter stop_words must be a list of texts, written as JSON")
        stops += listed
    if len(stops) > MOST_STOPS:
        raise InvalidRequest(f"{len(stops)} texts are to end it, at most {MOST_STOPS} can be given")
    for stop in stops:
        if not 0 < len(stop) <= MOST_STOP_CHARACTERS:
            raise InvalidRequest(
                f"a text that ends it is {quoted(stop)}, expected one of 1 to {MOST_STOP_CHARACTERS} characters"
            )
    return stops
