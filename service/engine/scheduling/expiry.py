"""Deadlines and queue timeouts, watched with a single timer however many requests wait."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence

from service.artifact.queue_policy import QueuePolicy
from service.engine.exchange import Exchange
from service.errors import DeadlineExceeded, QueueTimeout

_NEVER = float("inf")


class Expiry:
    """Owns the timer for the tightest moment, which is `next`. Any later one costs a comparison.

    `unfinished` are the exchanges to look at then. One that has waited beyond the policy of its level (`levels`) is
    refused, or handed to `delay`.
    """

    def __init__(
        self,
        unfinished: Callable[[], Iterable[Exchange]],
        levels: Sequence[QueuePolicy],
        delay: Callable[[Collection[Exchange]], None],
    ) -> None:
        self._unfinished = unfinished
        self._levels = levels
        self._limited = any(policy.default_timeout_microseconds for policy in levels)
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.next = _NEVER

    def admit(self, exchange: Exchange) -> None:
        """Watch an exchange from now on, by its deadline and the policy of its level."""
        moment = exchange.deadline
        if self._limited:
            patience = self._levels[exchange.level].timeout(exchange.request.timeout)
            if patience is not None:
                exchange.expires = exchange.admitted + patience
                moment = min(moment, exchange.expires)
        if moment < self.next:
            self.watch(moment)

    def watch(self, moment: float) -> None:
        """See to it that nothing outlives `moment` (`time.monotonic()` seconds) unnoticed."""
        if moment < self.next:
            self.stop()
            self.next = moment
            self._timer = self._loop.call_later(max(moment - time.monotonic(), 0.0), self._sweep)

    def stop(self) -> None:
        """Watch nothing."""
        if self._timer:
            self._timer.cancel()
        self.next = _NEVER

    def _sweep(self) -> None:
        self.next = _NEVER
        now, late = time.monotonic(), list[Exchange]()
        self.watch(min([self._look(exchange, now, late) for exchange in list(self._unfinished())], default=_NEVER))
        if late:
            self._delay(late)

    def _look(self, exchange: Exchange, now: float, late: list[Exchange]) -> float:
        """End an exchange whose time has come, or add it to those that are to be delayed; when to look at it again."""
        if exchange.deadline <= now:
            exchange.fail(DeadlineExceeded(f"not finished within {exchange.deadline - exchange.admitted:.3g} s"))
            return _NEVER
        if exchange.started:
            return exchange.deadline
        if exchange.expires > now:
            return min(exchange.deadline, exchange.expires)
        if self._levels[exchange.level].timeout_action == "reject":
            waited = exchange.expires - exchange.admitted
            exchange.fail(QueueTimeout(f"no worker took it within {waited:.3g} s, the limit of this model's queue"))
            return _NEVER
        exchange.expires = _NEVER
        late.append(exchange)
        return exchange.deadline
