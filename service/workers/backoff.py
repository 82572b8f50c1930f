"""How long to wait before a process is started again."""

FIRST = 0.25
LONGEST = 30.0
EXCUSES = 10
"""Ends in a row that may be a job's fault, with no answer in between; where there are more, it isn't the jobs."""


class Backoff:
    """Owns the count of starts in a row that were of no use; each doubles the wait from FIRST to LONGEST seconds."""

    def __init__(self) -> None:
        self.failures = 0
        self._excused = 0

    def succeeded(self) -> None:
        """The process has been of use: whatever happens to it, the next may start at once."""
        self.failures = self._excused = 0

    def ended(self, *, useful: bool) -> None:
        """A process has ended that was of use or not."""
        self.failures = 0 if useful else self.failures + 1

    def excuse(self) -> None:
        """It was a job that ended the last process, and any before that were of no use: they don't count.

        A job that is blamed where nothing else is answered either may be as innocent as the next: after EXCUSES of them
        they count.
        """
        self._excused += 1
        if self._excused <= EXCUSES:
            self.failures = 0

    @property
    def delay(self) -> float:
        """Seconds to wait before the next start."""
        return min(FIRST * 2 ** (self.failures - 1), LONGEST) if self.failures else 0.0
