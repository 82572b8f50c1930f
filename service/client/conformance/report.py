"""What became of the checks at a server."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.client.conformance.check import Check, Level, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One check's outcome; `reason` says what was expected and what came, or what was missing."""

    check: Check
    outcome: Outcome
    reason: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """`is_blocked` when a part couldn't be tried: there was no request that the model takes, or no answer any more."""

    results: tuple[Result, ...]
    is_blocked: bool = False

    @property
    def breaches(self) -> tuple[Result, ...]:
        """Checks that failed of the protocol, or of an extension that the server itself lists."""
        failed = (one for one in self.results if one.outcome is Outcome.FAILED)
        return tuple(one for one in failed if one.check.level is not Level.RECOMMENDED)

    @property
    def conforms(self) -> bool:
        """True when there are none, and everything that applies was tried."""
        return not self.breaches and not self.is_blocked

    def counts(self) -> dict[str, int]:
        """Checks by outcome."""
        found = Counter(one.outcome for one in self.results)
        return {outcome.value: found[outcome] for outcome in Outcome}


def described(check: Check) -> dict[str, Any]:
    """A check for machines."""
    return {
        "id": check.id,
        "group": check.group,
        "level": check.level.value,
        "extension": check.extension or None,
        "document": check.document,
        "says": check.says,
    }


def as_json(report: Report, about: Mapping[str, Any]) -> dict[str, Any]:
    """The report for machines; `about` says which server and model."""
    results = [
        {
            **described(one.check),
            "outcome": one.outcome.value,
            "reason": one.reason or None,
            "seconds": round(one.seconds, 6),
        }
        for one in report.results
    ]
    return {"schema": 1, **about, "conforms": report.conforms, "counts": report.counts(), "checks": results}
