"""How long to wait before a process is started again."""

FIRST = 0.25
LONGEST = 30.0


class Backoff:
    """Owns the count of starts in a row that were of no use; each doubles the wait from FIRST to LONGEST seconds."""

    def __init__(self) -> None:
        self.failures = 0

    def succeeded(self) -> None:
        """The process has been of use: whatever happens to it, the next may start at once."""
        self.failures = 0

    def next(self, *, useful: bool) -> float:
        """Seconds to wait before the next start, after a process that was of use or not."""
        self.failures = 0 if useful else self.failures + 1
        return min(FIRST * 2 ** (self.failures - 1), LONGEST) if self.failures else 0.0
