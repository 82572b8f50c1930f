"""A request whose moments are written down, by the names that Triton has for them."""

import time

from service.engine.exchange import Exchange, Receiver
from service.engine.servable import Servable
from service.errors import HoneError
from service.messages import InferRequest, InferResponse
from service.tracing import Trace

_HTTP = ("HTTP_RECV_START", "HTTP_RECV_END", "HTTP_SEND_START", "HTTP_SEND_END")
_GRPC = ("GRPC_WAITREAD_START", "GRPC_WAITREAD_END", "GRPC_SEND_START", "GRPC_SEND_END")


class Traced:
    """Stands before a receiver, and notes in a trace when it hears of what. Implements `Receiver`.

    How long a client took to send is known to nobody: a request counts as received when it has been decoded, so that
    both moments of receiving are the same. It counts as sent when the door has written it, or left it to gRPC.
    """

    def __init__(self, model: Servable, request: InferRequest, receiver: Receiver, trace: Trace) -> None:
        self._model = model
        self._request = request
        self._receiver = receiver
        self._trace = trace
        self._exchange: Exchange | None = None
        began, ended, *self._sending = _GRPC if request.protocol == "grpc" else _HTTP
        now = time.monotonic()
        for name in (began, ended, "REQUEST_START"):
            trace.note(name, now)

    def submit(self) -> Exchange:
        """Hand the request to its model. Raises a HoneError when it isn't taken."""
        try:
            exchange = self._exchange = self._model.submit(self._request, self)
        except HoneError:
            self._trace.note("REQUEST_END", time.monotonic())
            self._end()
            raise
        self._trace.note("QUEUE_START", exchange.admitted)
        return exchange

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        self._note_computing(time.monotonic())
        self._receiver.emit(response)
        self._trace.note("INFER_RESPONSE_COMPLETE", time.monotonic())

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        now = time.monotonic()
        self._trace.note("REQUEST_END", now)
        self._trace.note(self._sending[0], now)
        try:
            self._receiver.finish(error)
        finally:
            self._trace.note(self._sending[1], time.monotonic())
            self._exchange = None  # which refers to this
            self._end()

    def _note_computing(self, now: float) -> None:
        """When it was computed, if it was: an answer is emitted before any other batch of the model comes back.

        The worker says how long it took to infer and to write the outputs. These times are counted back from the moment
        at which its answer was there; what is before them is the way of the inputs, from the queue into the runtime. An
        ensemble computes nothing itself.
        """
        exchange, statistics = self._exchange, self._model.metrics.statistics
        computed = now - (time.time() - statistics.last_inference)
        if exchange is None or not exchange.started or computed < exchange.admitted:
            return
        if self._model.config.ensemble_scheduling:
            return
        _, infer, output = statistics.latest
        computing = now - output - infer
        self._trace.note("COMPUTE_START", min(exchange.started, computing))
        self._trace.note("COMPUTE_INPUT_END", computing)
        self._trace.note("COMPUTE_OUTPUT_START", now - output)
        self._trace.note("COMPUTE_END", now)

    def _end(self) -> None:
        self._trace.end(self._model.name, self._model.version, self._request.id)
