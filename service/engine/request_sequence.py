"""One sequence of requests: what it has come to, and who of it waits."""

import math
from collections import deque
from dataclasses import dataclass, field

from service.engine.correlation import Correlation
from service.engine.exchange import Exchange
from service.engine.steps import States


@dataclass(kw_only=True, slots=True, eq=False)
class RequestSequence:
    """Owns the states that its last step left, which are None before the first, and the order of its steps.

    `seated` says that it has one of the slots for sequences in progress. `current` is the request whose step is being
    computed, and `step` that step. `ending` says that its last step is here: whoever starts one of the same name begins
    another. `over` says that its last step was computed, or that it is to go no further. `version` is the one that its
    first step named, None for none.
    """

    id: int | str
    version: str | None = None
    states: States | None = None
    seated: bool = False
    current: Exchange | None = None
    step: Exchange | None = None
    ending: bool = False
    over: bool = False
    waiting: deque[tuple[Exchange, Correlation]] = field(default_factory=deque)

    @property
    def rests(self) -> bool:
        """Whether nobody waits for it."""
        return self.current is None and not self.waiting

    @property
    def waiting_since(self) -> float:
        """See `ModelMetrics`; from any thread."""
        return next((exchange.admitted for exchange, _ in list(self.waiting)), math.inf)

    def part_after(self, exchange: Exchange) -> list[Exchange]:
        """Take a request that has ended out of those that wait, with those behind it that build on it; these."""
        waiting = list(self.waiting)
        place = next((number for number, (one, _) in enumerate(waiting) if one is exchange), -1)
        behind = waiting[place + 1 :]
        stop = next((number for number, (_, one) in enumerate(behind) if one.start), len(behind))
        self.waiting = deque([*waiting[: max(place, 0)], *behind[stop:]])
        return [one for one, _ in behind[:stop]]
