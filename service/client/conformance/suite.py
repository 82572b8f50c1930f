"""All checks in their order, and what becomes of them at a server."""

import difflib
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException

from service.client.conformance.check import Check, Outcome
from service.client.conformance.checks import (
    binary,
    binary_refusals,
    classification,
    compression,
    config,
    connection,
    health,
    infer,
    infer_refusals,
    metadata,
    parameters,
    repository,
    rpc_infer,
    rpc_refusals,
    rpc_server,
    settings,
    shared_memory,
    statistics,
)
from service.client.conformance.expectation import CheckFailed, CheckSkipped
from service.client.conformance.report import Report, Result
from service.client.conformance.rpc_refusal import RpcRefused
from service.client.conformance.target import Target

CHECKS: tuple[Check, ...] = (
    *health.CHECKS,
    *metadata.CHECKS,
    *config.CHECKS,
    *infer.CHECKS,
    *infer_refusals.CHECKS,
    *binary.CHECKS,
    *binary_refusals.CHECKS,
    *parameters.CHECKS,
    *compression.CHECKS,
    *connection.CHECKS,
    *statistics.CHECKS,
    *repository.CHECKS,
    *classification.CHECKS,
    *settings.CHECKS,
    *shared_memory.CHECKS,
    *connection.AT_THE_END,
    *rpc_server.CHECKS,
    *rpc_infer.CHECKS,
    *rpc_refusals.CHECKS,
)
_SILENT = 5
"""After so many checks in a row without any answer the rest isn't tried: each would wait as long."""


def selected(words: Sequence[str]) -> tuple[Check, ...]:
    """The checks whose id or group is among `words`, or all. Raises ValueError for a word that names none."""
    known = {word for check in CHECKS for word in (check.id, check.group, *check.group.split("."))}
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, sorted(known), 1)
            groups = ", ".join(dict.fromkeys(check.group for check in CHECKS))
            raise ValueError(
                f"no check or group {word!r}, " + (f"did you mean {near[0]}?" if near else f"groups: {groups}")
            )
    return tuple(check for check in CHECKS if not words or any(check.is_of(word) for word in words))


def run(
    checks: Sequence[Check], target: Target, seconds: float, told: Callable[[Check], None] = lambda _: None
) -> Report:
    """Ask the server, each check for `seconds` at most; `told` is called before each."""
    results: list[Result] = []
    silent = 0
    for check in checks:
        told(check)
        if silent < _SILENT:
            result, answered = _tried(check, target, seconds)
            silent = 0 if answered else silent + 1
        else:
            reason = f"the server answered none of the {_SILENT} checks before"
            result = Result(check=check, outcome=Outcome.SKIPPED, reason=reason, seconds=0.0)
        results.append(result)
    untried = bool(target.problem) and any(one.reason == target.problem for one in results)
    return Report(results=tuple(results), is_blocked=untried or silent >= _SILENT)


def _tried(check: Check, target: Target, seconds: float) -> tuple[Result, bool]:
    """What became of one check, and whether the server answered."""
    began = time.monotonic()
    answered = True
    try:
        target.http.allow(seconds)
        _need(check, target)
        check.ask(target)
        outcome, reason = Outcome.PASSED, ""
    except CheckSkipped as error:
        outcome, reason = Outcome.SKIPPED, str(error)
    except (CheckFailed, RpcRefused) as error:
        outcome, reason = Outcome.FAILED, str(error)
    except TimeoutError:
        outcome, reason, answered = Outcome.FAILED, f"no answer within {seconds:g} s", False
    except (OSError, HTTPException) as error:
        outcome, reason, answered = Outcome.FAILED, f"no answer: {str(error) or type(error).__name__}", False
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # Servers say anything: what a check didn't foresee is an answer that can't be read.
        outcome, reason = Outcome.FAILED, f"the answer can't be read ({type(error).__name__}: {error})"
    took = time.monotonic() - began
    return Result(check=check, outcome=outcome, reason=reason, seconds=took), answered


def _need(check: Check, target: Target) -> None:
    """Raise CheckSkipped when the check doesn't apply to this server."""
    if check.extension and check.extension not in target.extensions:
        raise CheckSkipped(f"the server's metadata doesn't list the extension \"{check.extension}\"")
    if check.id.startswith("grpc."):
        _ = target.rpc
