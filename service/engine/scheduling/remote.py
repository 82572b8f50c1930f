"""Requests that another server computes: each is passed through by itself, at once, and within its own deadline.

There is no queue here, the remote has one: what is under way is bounded instead. A request is sent again only where
nothing can have been computed, after a pause that grows and varies, and as far as the retry budget goes.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from service.engine.exchange import Exchange
from service.engine.remote.breaker import Breaker
from service.engine.remote.fault import Kind, RemoteFault
from service.engine.remote.patience import varied
from service.engine.remote.retry_budget import RetryBudget
from service.engine.scheduling.expiry import Expiry
from service.errors import BackendError, HoneError, QueueFull, WorkerLost
from service.messages import InferRequest, Tensor
from service.metrics import ModelMetrics

ATTEMPTS = 4
FIRST_PAUSE = 0.05
"""Seconds before the second attempt; twice as many before the next, and so on."""
_OK = "ok"
_ABANDONED = "abandoned"
"""How a call ended that nobody waited for any more."""
_log = structlog.get_logger()


class Remote(Protocol):
    """What computes elsewhere."""

    async def infer(self, request: InferRequest, seconds: float) -> Mapping[str, Tensor]:
        """The outputs by name. Raises RemoteFault."""


class RemoteScheduler:
    """Owns the exchanges that are at a remote server. Implements `Scheduler`.

    `respond` answers an exchange with what came; a HoneError that it raises fails the exchange.
    """

    def __init__(
        self,
        remote: Remote,
        breaker: Breaker,
        metrics: ModelMetrics,
        respond: Callable[[Exchange, Mapping[str, Tensor]], None],
        *,
        max_requests: int,
        max_bytes: int,
    ) -> None:
        self._remote = remote
        self._breaker = breaker
        self._metrics = metrics
        self._calls = metrics.remote_calls = dict.fromkeys([_OK, _ABANDONED, *(kind.value for kind in Kind)], 0)
        self._respond = respond
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._budget = RetryBudget()
        self._tasks: dict[Exchange, asyncio.Task[None]] = {}
        metrics.pending = self._tasks.__len__
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._expiry = Expiry(lambda: self._tasks, (), _never)  # queue timeouts are the remote's

    @property
    def ready(self) -> bool:
        """See `Scheduler`."""
        return self._breaker.ready

    def submit(self, exchange: Exchange) -> None:
        """See `Scheduler`."""
        self._check_room()
        if self._bytes + exchange.nbytes > self._max_bytes:
            raise QueueFull(f"{self._bytes} bytes are at the remote server; {exchange.nbytes} more exceed the limit")
        self._breaker.admit()
        self._budget.earn()
        self._bytes += exchange.nbytes
        self._tasks[exchange] = self._loop.create_task(self._carry(exchange))
        self._expiry.watch(exchange.deadline)

    def precheck(self, allowance: float, weight: float) -> None:  # noqa: ARG002
        """See `Scheduler`; how long the remote will take can't be foreseen."""
        self._breaker.check()
        self._check_room()

    def left(self, exchange: Exchange) -> None:
        """Nobody waits for it any more: the remote is told so too."""
        task = self._forget(exchange)
        if task:
            task.cancel()
            self._breaker.given_up()

    async def stop(self) -> None:
        """See `Scheduler`."""
        self._expiry.stop()
        tasks = list(self._tasks.values())
        for exchange in list(self._tasks):
            exchange.fail(WorkerLost("the model was stopped"))
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_room(self) -> None:
        if len(self._tasks) >= self._max_requests:
            raise QueueFull(f"{len(self._tasks)} requests are at the remote server, the limit is {self._max_requests}")

    def _forget(self, exchange: Exchange) -> asyncio.Task[None] | None:
        task = self._tasks.pop(exchange, None)
        if task:
            self._bytes -= exchange.nbytes
        return task

    async def _carry(self, exchange: Exchange) -> None:
        """See one exchange to its end."""
        try:
            answer = await self._ask(exchange)
            self._forget(exchange)
            self._respond(exchange, answer)
        except HoneError as error:
            self._forget(exchange)
            exchange.fail(error)
        except Exception:  # a fault of ours must end the exchange, not leave it waiting
            _log.exception("can't pass a request through", **exchange.request.named)
            self._breaker.given_up()
            self._forget(exchange)
            exchange.fail(BackendError("internal error while the request was passed through; the log has the trace"))

    async def _ask(self, exchange: Exchange) -> Mapping[str, Tensor]:
        """The remote's answer, after several attempts if need be. Raises a HoneError."""
        attempt = 0
        exchange.started = time.monotonic()
        self._metrics.queue_duration.observe(exchange.started - exchange.admitted)
        while True:
            began = time.monotonic()
            try:
                answer = await self._remote.infer(exchange.request, exchange.deadline - began)
            except asyncio.CancelledError:
                self._calls[_ABANDONED] += 1
                raise
            except RemoteFault as fault:
                self._calls[fault.kind.value] += 1
                self._judge(fault.kind)
                attempt += 1
                pause = varied(FIRST_PAUSE * 2 ** (attempt - 1))
                if not self._worthwhile(fault.kind, attempt, time.monotonic() + pause - exchange.deadline):
                    raise fault.error from fault
                await asyncio.sleep(pause)
            else:
                self._calls[_OK] += 1
                self._breaker.answered()
                self._measure(exchange, time.monotonic() - began)
                return answer

    def _judge(self, kind: Kind) -> None:
        if kind.of_connection:
            self._breaker.failed()
        elif kind is Kind.LATE:
            self._breaker.given_up()
        else:
            self._breaker.answered()

    def _worthwhile(self, kind: Kind, attempt: int, late: float) -> bool:
        """Whether to send a request again; `late` is how many seconds after its deadline that would be."""
        may = kind.uncomputed and attempt < ATTEMPTS and late < 0 and self._breaker.ready
        return may and self._budget.spend()

    def _measure(self, exchange: Exchange, seconds: float) -> None:
        metrics = self._metrics
        metrics.statistics.computed(1, exchange.rows, (0.0, seconds, 0.0))
        metrics.executions += 1
        metrics.inferences += exchange.rows
        metrics.batch_size.observe(exchange.rows)
        metrics.compute_duration["infer"].observe(seconds)


def _never(exchanges: Collection[Exchange]) -> None:
    """Nothing is delayed here."""
