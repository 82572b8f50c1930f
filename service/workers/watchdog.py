"""Finds a worker that says nothing any more, or computes one batch for too long.

Beats are counted, not seconds, so that a pause of the front itself blames nobody.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from service.workers.patience import Patience
from service.workers.run import Run

MISSED_BEATS = 6
HEALTHY_BEATS = 20
SILENT = "silent"
TOO_LONG = "batch_timeout"


class Watchdog:
    """Owns the count of beats of one process."""

    def __init__(self, patience: Patience) -> None:
        self._limit = patience.batch / patience.beat
        self._beats = 0
        self._silent = 0

    def heard(self) -> None:
        """The process said something."""
        self._silent = 0

    def loading(self, *, stopped: bool) -> str:
        """One beat has passed for a process that isn't ready yet; why it should be ended, empty if it shouldn't.

        How long it says nothing is no evidence then, but that somebody has stopped it, and doesn't let it go on, is.
        """
        self._silent = self._silent + 1 if stopped else 0
        return SILENT if self._silent > MISSED_BEATS else ""

    def beat(self, runs: Iterable[Run[Any]]) -> str:
        """One beat has passed for a process that is ready; why it should be ended, empty if it shouldn't."""
        self._silent += 1
        self._beats += 1
        verdict = SILENT if self._silent > MISSED_BEATS else ""
        for run in islice(runs, 1):  # those behind the first wait for it
            run.beats += 1
            if run.beats > self._limit:
                verdict = verdict or TOO_LONG
        return verdict

    @property
    def is_healthy(self) -> bool:
        """Whether the process has been ready for long enough to be called of use."""
        return self._beats >= HEALTHY_BEATS
