"""What a Locust run must keep to, and how it ends."""

import argparse
import math
from dataclasses import dataclass

FAILED, BROKEN = 1, 4
"""Exit codes: requests failed that mustn't, or none was sent; a gate is broken."""


def milliseconds(text: str) -> float:
    """A bound from the command line. Raises ArgumentTypeError."""
    if not 0 < (number := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected milliseconds above 0")
    return number


def ratio(text: str) -> float:
    """A share from the command line. Raises ArgumentTypeError."""
    if not 0 <= (number := _number(text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a share, from 0 to 1")
    return number


def count(text: str) -> int:
    """A number of users or seconds from the command line. Raises ArgumentTypeError."""
    if not text.isdecimal() or not (number := int(text)):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number above 0")
    return number


def pace(text: str) -> float:
    """Requests per second from the command line, 0 for none in particular. Raises ArgumentTypeError."""
    if not 0 <= (number := _number(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of 0 or more")
    return number


def _number(text: str) -> float:
    """A number, nan for what is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


@dataclass(frozen=True, kw_only=True, slots=True)
class Gates:
    """Bounds of the 95th percentile in milliseconds and of the share of requests that may fail; None for no bound.

    Without a bound on failures none may fail.
    """

    max_p95_ms: float | None = None
    max_error_ratio: float | None = None

    def verdict(self, *, requests: int, failures: int, p95_ms: float) -> tuple[int, list[str]]:
        """The exit code, and a line for each thing that is wrong."""
        if not requests:
            return FAILED, ["no request was sent: nothing is proved"]
        broken = []
        if self.max_p95_ms is not None and not p95_ms <= self.max_p95_ms:
            broken.append(f"--max-p95-ms: the 95th percentile is {p95_ms:.1f} ms, above {self.max_p95_ms:g}")
        if self.max_error_ratio is not None and failures / requests > self.max_error_ratio:
            told = f"{failures:,} of {requests:,} requests failed ({failures / requests:.2%})"
            broken.append(f"--max-error-ratio: {told}, more than {self.max_error_ratio:g}")
        if broken:
            return BROKEN, broken
        if failures and self.max_error_ratio is None:
            return FAILED, [f"{failures:,} of {requests:,} requests failed"]
        return 0, []
