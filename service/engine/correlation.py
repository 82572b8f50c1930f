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
    check_sequence(parameters)
    name = parameters.get("sequence_id", 0)
    if not is_id(name):
        raise InvalidRequest(
            f'model {quoted(request.model)} takes steps of sequences: parameter "sequence_id" must be a number from 1'
            " on, or a text"
        )
    return Correlation(id=name, start=bool(parameters.get("sequence_start")), end=bool(parameters.get("sequence_end")))


def check_sequence(parameters: Parameters) -> None:
    """Raises InvalidRequest unless they say what they may of a sequence, or nothing: 0 and "" name none."""
    name = parameters.get("sequence_id", 0)
    if not is_id(name) and (name is False or name not in (0, "")):
        raise InvalidRequest(
            f"parameter sequence_id is {quoted(name)}, expected a number of 64 bits from 1 on, or a text of"
            f" {MOST_CHARACTERS} characters at most"
        )
    for key in ("sequence_start", "sequence_end"):
        value = parameters.get(key, False)
        if not isinstance(value, bool):
            raise InvalidRequest(f"parameter {key} is {quoted(value)}, expected true or false")


def is_id(name: object) -> TypeGuard[int | str]:
    """Whether a sequence may have this name."""
    if isinstance(name, str):
        return 0 < len(name) <= MOST_CHARACTERS
    return isinstance(name, int) and not isinstance(name, bool) and 1 <= name <= MOST_NUMBER
