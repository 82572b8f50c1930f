"""What the parameters of a request may be, and what those mean that concern the engine."""

from collections.abc import Mapping
from math import isfinite

from service.engine.correlation import check_sequence
from service.errors import InvalidRequest
from service.messages import Parameters
from service.quoting import quoted

_MICROSECOND = 1e-6


def check_parameters(parameters: Parameters) -> None:
    """Raises InvalidRequest for a value that is no scalar or has too many bits, for a name that is reserved, and for
    what can't name a sequence.
    """
    for key, value in parameters.items():
        if not isinstance(value, str | int | float):  # bool is an int
            raise InvalidRequest(f"parameter {quoted(key)} must be a string, a number, true or false")
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise InvalidRequest(f"parameter {quoted(key)} is beyond 64 bits")
        if key.startswith("triton_") and key != "triton_enable_empty_final_response":
            raise InvalidRequest(f"parameter {quoted(key)}: the prefix triton_ is reserved")
    check_sequence(parameters)  # for models without sequences, too


def timeout_seconds(value: object) -> float | None:
    """Triton's `timeout` parameter, microseconds, as seconds; None for 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise InvalidRequest(f"parameter timeout is {quoted(value)}, expected microseconds, 0 for none")
    return value * _MICROSECOND or None


def priority_level(value: object) -> int:
    """Triton's `priority` parameter: 1 is the first level, 0 the model's default."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequest(f"parameter priority is {quoted(value)}, expected a level from 1 on, 0 for the default")
    return value


def class_count(output: str, value: object) -> int:
    """Triton's `classification` parameter of an output: how many of its elements, at least one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest(
            f"output {quoted(output)}: classification is {quoted(value)}, expected how many, from 1 on"
        )
    return value


def smaller(one: float | None, other: float | None) -> float | None:
    """The tighter of two times, of which either may be None for unlimited."""
    if one is None or other is None:
        return one or other
    return min(one, other)


def unloads_dependents(parameters: Mapping[str, object]) -> bool:
    """Whether the models that an ensemble is made of are to be unloaded with it. Raises InvalidRequest."""
    for key, value in parameters.items():
        if key != "unload_dependents":
            raise InvalidRequest(f"parameter {quoted(key)} isn't known; unload takes unload_dependents")
        if not isinstance(value, bool):
            raise InvalidRequest('parameter "unload_dependents" is true or false')
    return parameters.get("unload_dependents") is True
