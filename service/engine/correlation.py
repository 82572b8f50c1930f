"""Which sequence a request belongs to, by Triton's parameters `sequence_id`, `sequence_start` and `sequence_end`."""

from dataclasses import dataclass
from typing import TypeGuard

from service.errors import InvalidRequest
from service.messages import InferRequest, Parameters
from service.quoting import quoted

MOST_CHARACTERS = 128
MOST_NUMBER = 2**64 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation:
    """`id` is a number from 1 on, or a text; `start` and `end` say whether a request is its first or last step."""

    id: int | str
    start: bool = False
    end: bool = False


def correlation_of(request: InferRequest) -> Correlation:
    """What the request says. Raises InvalidRequest, also where it names no sequence."""
    parameters = request.parameters
    name = parameters.get("sequence_id", 0)
    if name in (0, "") and name is not False:
        raise InvalidRequest(
            f'model {quoted(request.model)} takes steps of sequences: parameter "sequence_id" must be a number from 1'
            " on, or a text"
        )
    if not is_id(name):
        raise InvalidRequest(
            f"parameter sequence_id is {quoted(name)}, expected a number of 64 bits from 1 on, or a text of"
            f" {MOST_CHARACTERS} characters at most"
        )
    return Correlation(id=name, start=_flag(parameters, "sequence_start"), end=_flag(parameters, "sequence_end"))


def is_id(name: object) -> TypeGuard[int | str]:
    """Whether a sequence may have this name."""
    if isinstance(name, str):
        return len(name) <= MOST_CHARACTERS
    return isinstance(name, int) and not isinstance(name, bool) and 1 <= name <= MOST_NUMBER


def _flag(parameters: Parameters, key: str) -> bool:
    value = parameters.get(key, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f"parameter {key} is {quoted(value)}, expected true or false")
    return value
