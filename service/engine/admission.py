"""From a request to an exchange: what a generation asks of it, and how long it may take."""

import time

from service.artifact.config import ModelConfig
from service.engine.contract import Contract
from service.engine.exchange import Exchange, ExchangeOwner, Receiver
from service.errors import HoneError
from service.messages import InferRequest
from service.metrics import ModelMetrics


class Admission:
    """Owns the contract of one generation and counts how its requests end. `default_deadline` is in seconds."""

    def __init__(self, config: ModelConfig, metrics: ModelMetrics, *, default_deadline: float) -> None:
        self._contract = Contract(config)
        self._metrics = metrics
        milliseconds = config.hone.deadline_ms
        self._own_deadline = None if milliseconds is None else milliseconds / 1e3
        self._default_deadline = default_deadline

    def exchange(self, request: InferRequest, receiver: Receiver, owner: ExchangeOwner) -> Exchange:
        """The request's exchange, not queued yet. Raises InvalidRequest when it doesn't fit the configuration."""
        contract = self._contract
        inputs, rows = contract.inputs(request)
        outputs = contract.outputs(request.outputs) if request.outputs else contract.all_outputs
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
            deadline=now + self._allowance(request.timeout),
            level=contract.level(request.priority),
        )

    def ended(self, exchange: Exchange, error: HoneError | None) -> None:
        """Count an exchange that has ended."""
        metrics = self._metrics
        if error is None:
            metrics.requests[exchange.request.protocol, "ok"] += 1
        else:
            metrics.refuse(exchange.request.protocol, error.outcome, error.reason)
        metrics.request_duration.observe(time.monotonic() - exchange.admitted)

    def _allowance(self, timeout: float | None) -> float:
        """Seconds that a request may take: the smaller of what client and model say, else the server's default."""
        own = self._own_deadline
        if timeout is None:
            return self._default_deadline if own is None else own
        return timeout if own is None else min(timeout, own)
