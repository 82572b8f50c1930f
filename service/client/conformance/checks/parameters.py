"""Parameters of a request, those of Triton's scheduling included."""

from typing import Any

from service.client.conformance.check import extension, recommended
from service.client.conformance.specification import PARAMETERS, SCHEDULE, TENSORS
from service.client.conformance.target import Target

_MINUTE = 60_000_000


@extension("http.parameters.custom", PARAMETERS, "parameters")
def custom(target: Target) -> None:
    """A request may have parameters of its own: strings, numbers and booleans, which don't change what is computed."""
    _ask(target, {"conformance_text": "a", "conformance_number": 42, "conformance_flag": True})


@recommended("http.parameters.not-a-scalar", TENSORS)
def not_a_scalar(target: Target) -> None:
    """The value of a parameter is a string, a number or a boolean: an object is refused."""
    _ = target.baseline
    body, headers = target.plain(parameters={"conformance": {"a": 1}})
    target.expect_refused(body, "a parameter that is an object", headers)


@extension("http.parameters.reserved", PARAMETERS, "parameters")
def reserved(target: Target) -> None:
    """Keys that begin with triton_ are reserved: one that isn't known is refused."""
    _ = target.baseline
    body, headers = target.plain(parameters={"triton_conformance": 1})
    target.expect_refused(body, "the parameter triton_conformance", headers)


@extension("http.parameters.timeout", SCHEDULE, "schedule_policy")
def timeout(target: Target) -> None:
    """A request may have a timeout, in microseconds, and a priority, of which 0 is the model's default."""
    _ask(target, {"timeout": _MINUTE, "priority": 0})


@extension("http.parameters.timeout-not-a-number", SCHEDULE, "schedule_policy")
def timeout_not_a_number(target: Target) -> None:
    """A timeout is a number of microseconds: text is refused."""
    _ = target.baseline
    body, headers = target.plain(parameters={"timeout": "soon"})
    target.expect_refused(body, 'timeout: "soon"', headers)


def _ask(target: Target, parameters: dict[str, Any]) -> None:
    _ = target.baseline
    target.expect_answer(target.infer(*target.plain(parameters=parameters)), f"the parameters {parameters}")


CHECKS = (custom, not_a_scalar, reserved, timeout, timeout_not_a_number)
