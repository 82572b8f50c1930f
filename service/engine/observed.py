"""An engine that says what becomes of the requests of calls. It takes the place of the other where anybody listens."""

from msgspec import structs

from service.engine.engine import Engine
from service.engine.exchange import Exchange, Receiver
from service.errors import HoneError
from service.messages import InferRequest, InferResponse
from service.telemetry.call import CALL, Call


class ObservedEngine(Engine):
    """Tells the call that is being taken what was asked and how it ended; its requests go on with its span."""

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """See `Engine.submit`."""
        call = CALL.get()
        if call is None:
            return super().submit(request, receiver)
        if call.span:
            request = structs.replace(request, trace=call.span)
        if not call.told:
            return super().submit(request, receiver)
        call.submitted(request)
        try:
            return super().submit(request, _Observed(receiver, call))
        except HoneError as error:
            call.refused(error)
            raise

    def refuse(self, model: str, version: str | None, protocol: str, error: HoneError) -> None:
        """See `Engine.refuse`."""
        if call := CALL.get():
            call.asks(model, version, call.request_id)
            call.refused(error)
        super().refuse(model, version, protocol, error)

    def turn_away(self, request: InferRequest, error: HoneError) -> None:
        """See `Engine.turn_away`."""
        if call := CALL.get():
            call.submitted(request)
            call.refused(error)
        super().turn_away(request, error)


class _Observed:
    """Stands before a receiver, and tells a call what that hears. Implements `Receiver`."""

    def __init__(self, receiver: Receiver, call: Call) -> None:
        self._receiver = receiver
        self._call = call

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        self._call.answers(response)
        self._receiver.emit(response)

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        call = self._call
        if error is not None:
            call.refused(error)
        try:
            self._receiver.finish(error)
        finally:
            if call.on_finish:
                call.on_finish()
