"""How many requests may be sent again, so that an outage isn't made worse by those who suffer from it."""

SHARE = 0.1
"""Retries that each request pays for."""
RESERVE = 10.0
"""Retries that may be saved up, and that there are at the start: a quiet model can afford a few."""


class RetryBudget:
    """Owns the retries that are left: in the long run one for every ten requests."""

    def __init__(self) -> None:
        self._left = RESERVE

    def earn(self) -> None:
        """A request came."""
        self._left = min(self._left + SHARE, RESERVE)

    def spend(self) -> bool:
        """Take one retry; False when none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
