"""Refusing many for the price of one: under overload the same headers are hopeless until something has changed."""

import time

from service.engine.scheduling.foresight import Foresight
from service.engine.scheduling.outlook import Outlook
from service.engine.scheduling.queue import RequestQueue
from service.errors import Infeasible

_LASTING = 0.05
"""Seconds for which a refusal is repeated at most: what isn't looked at meanwhile is who else uses the device."""


class Shedding:
    """Owns the last refusal that headers sufficed for.

    What is foreseen shrinks as time passes, a second each second. Until it has shrunk by what the refused request
    lacked, and as long as no batch and nobody that waits has come or gone, it would be refused again.
    """

    def __init__(self) -> None:
        self._error: Infeasible | None = None
        self._state: tuple[object, ...] = ()
        self._until = 0.0

    def check(self, foresight: Foresight | Outlook, queue: RequestQueue, allowance: float, weight: float) -> None:
        """Raises Infeasible, perhaps the same one again, unless a row of this weight could be done in `allowance`
        seconds. Whatever priority its body asks for, the first level goes before all others.
        """
        now = time.monotonic()
        state = (allowance, weight, queue.rows, foresight.mark)
        if self._error and now < self._until and state == self._state:
            raise self._error
        try:
            ahead = queue.rows_before(0, now, now + allowance)
            foresight.check(1, ahead, now, now + allowance, weight)
        except Infeasible as error:
            self._error, self._state = error, state
            self._until = now + min(error.wait, _LASTING)
            raise
