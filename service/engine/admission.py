"""From a request to an exchange: what a generation asks of it, how long it may take, and when all have ended."""

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence

from service.artifact.config import ModelConfig
from service.engine.contract import Contract
from service.engine.exchange import Exchange, ExchangeOwner, Receiver
from service.engine.padding import Lengths, Padding
from service.errors import HoneError
from service.messages import InferRequest
from service.metrics import ModelMetrics


class Admission:
    """Owns the contract of one generation, which of its requests live, and the numbers of those that ended.

    `live` is to be raised by whoever has handed an exchange on. `default_deadline` is in seconds. `weights` has, for
    each bucket of declared lengths, the weight of its exchanges; empty while nothing is known of them.
    """

    def __init__(self, config: ModelConfig, metrics: ModelMetrics, *, default_deadline: float) -> None:
        self.live = 0
        self.weights: Sequence[float] = ()
        self._metrics = metrics
        self._default_deadline = default_deadline
        self._drained: asyncio.Event | None = None
        self.change(config)

    def change(self, config: ModelConfig) -> None:
        """Hold requests against this configuration from now on."""
        self.padding = Padding(config) if config.hone.lengths else None
        self._contract = Contract(config)
        milliseconds = config.hone.deadline_ms
        self._own_deadline = None if milliseconds is None else milliseconds / 1e3
        self._usual = self.allowance(None)

    def keep_whole(self) -> None:
        """Refuse requests with more rows than a batch from now on, since their parts would be answered otherwise."""
        self._contract.keep_whole()

    def exchange(self, request: InferRequest, receiver: Receiver, owner: ExchangeOwner) -> Exchange:
        """The request's exchange, not queued yet. Raises InvalidRequest when it doesn't fit the configuration."""
        contract, padding = self._contract, self.padding
        lengths: Lengths = ()
        if padding:
            request = padding.complete(request)
        inputs, rows = contract.inputs(request)
        outputs = contract.outputs(request.outputs) if request.outputs else contract.all_outputs
        if padding:
            inputs, lengths = padding.pad(inputs)
        now = time.monotonic()
        return Exchange(
            request=request,
            receiver=receiver,
            owner=owner,
            inputs=inputs,
            outputs=outputs,
            rows=rows,
            nbytes=inputs[0].nbytes if len(inputs) == 1 else sum([array.nbytes for array in inputs]),
            admitted=now,
            deadline=now + (self._usual if request.timeout is None else self.allowance(request.timeout)),
            lengths=lengths,
            weight=self.weights[padding.bucket(lengths)] if padding and self.weights else 1.0,
            level=contract.level(request.priority) if contract.has_levels else 0,
        )

    def allowance(self, timeout: float | None) -> float:
        """Seconds that a request may take: the smaller of what client and model say, else the server's default."""
        own = self._own_deadline
        if timeout is None:
            return self._default_deadline if own is None else own
        return timeout if own is None else min(timeout, own)

    @property
    def least_weight(self) -> float:
        """That of an exchange in the first bucket of declared lengths."""
        return self.weights[0] if self.weights else 1.0

    def longest(self, timeout: float | None) -> float:
        """Seconds that a request may take at most, by its headers: without limit where only its body can say."""
        return math.inf if timeout is None and self._own_deadline is None else self.allowance(timeout)

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """Count exchanges that have ended, all the same way."""
        self.live -= len(exchanges)
        if self._drained and not self.live:
            self._drained.set()
        now, metrics = time.monotonic(), self._metrics
        protocols = [exchange.request.protocol for exchange in exchanges]
        for protocol in set(protocols):
            count = protocols.count(protocol)
            if error is None:
                metrics.requests[protocol, "ok"] += count
            else:
                metrics.refuse(protocol, error.outcome, error.reason, count)
            seconds = [now - one.admitted for one, its in zip(exchanges, protocols, strict=True) if its == protocol]
            metrics.request_duration[protocol].observe_all(seconds)
            metrics.statistics.ended(count, sum(seconds), well=error is None)

    async def drain(self, seconds: float) -> bool:
        """Wait until all that live have ended, for so long at most; whether they have."""
        if self.live:
            self._drained = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), seconds)
        return not self.live
