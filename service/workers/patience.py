"""How long is too long for a worker process."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How long an instance waits, in seconds: for a load, for one batch, and between two heartbeats."""

    load: float = 300.0
    batch: float = 60.0
    beat: float = 0.5
