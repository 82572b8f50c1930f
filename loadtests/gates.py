"""What a Locust run must keep to, and how it ends."""

from dataclasses import dataclass

FAILED, BROKEN = 1, 4
"""Exit codes: requests failed that mustn't, or none was sent; a gate is broken."""


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
