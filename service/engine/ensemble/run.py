"""One request on its way through the steps of an ensemble."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from service.artifact.ensemble_scheduling import EnsembleStep
from service.engine.ensemble.composition import Composition
from service.engine.ensemble.course import Course
from service.engine.ensemble.gate import Gate
from service.engine.ensemble.wiring import Wire
from service.engine.exchange import Exchange
from service.engine.servable import Servable
from service.errors import BackendError, DeadlineExceeded, HoneError, Unavailable
from service.messages import InferRequest, InferResponse, Tensor
from service.turn import Turn

PROTOCOL = "ensemble"
"""What the requests of steps are counted under, where those of clients are counted under their door's protocol."""
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Workings:
    """What all requests to one ensemble share. `batched` says whether it batches, `outputs` are the wires to its own.

    `respond` answers an exchange with these outputs.
    """

    steps: Sequence[EnsembleStep]
    composition: Composition
    gates: Sequence[Gate]
    outputs: Mapping[str, Wire]
    batched: bool
    turn: Turn
    respond: Callable[[Exchange, Sequence[Tensor]], None]


class Run:
    """Owns the tensors of one exchange, `whole`, and the exchanges of its steps.

    A step begins when all that it takes is there. The first that fails ends the whole; when the whole ends, for
    whatever reason, the steps that are under way are cancelled. `seconds` is how long steps were computed, together.
    """

    def __init__(self, whole: Exchange, course: Course, workings: Workings) -> None:
        self._whole = whole
        self._course = course
        self._workings = workings
        self._left = list(course.steps)
        self._uses = dict(course.uses)
        self._tensors: dict[str, tuple[Tensor, bool]] = {}  # and whether its first axis is a batch's
        self._exchanges: dict[int, Exchange] = {}
        self._responded: set[int] = set()
        self._over = False
        self.seconds = 0.0

    def begin(self) -> None:
        """Submit the steps that need nothing but the request. Raises a HoneError; then none of them is left."""
        for tensor in self._whole.request.inputs:
            self._tensors[tensor.name] = (tensor, self._workings.batched)
        try:
            for at in self._ready():
                self._enter(at)
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self._over = True
        self._tensors.clear()
        for gate in self._workings.gates:
            gate.withdraw(self)
        for at, exchange in list(self._exchanges.items()):
            if at not in self._responded:  # else it is about to end, and well
                exchange.cancel()

    # -- from step to step

    def _ready(self) -> list[int]:
        """The steps that can begin now."""
        steps, there = self._workings.steps, self._tensors.keys()
        return [at for at in self._left if there >= set(steps[at].inputs.values())]

    def _proceed(self) -> None:
        """Begin what can begin by now."""
        for at in () if self._over else self._ready():
            if not self._over:
                self._attempt(at, self._enter)

    def _attempt(self, at: int, act: Callable[[int], None]) -> None:
        """Do this with a step, or fail the whole."""
        try:
            act(at)
        except HoneError as error:
            self._whole.fail(error)
        except Exception:  # a fault of ours must end the exchange, not leave it waiting
            _log.exception("can't begin a step", step=at + 1, **self._whole.request.named)
            self._whole.fail(BackendError(f"internal error at {self._workings.steps[at]}; the log has the trace"))

    def _enter(self, at: int) -> None:
        """Begin a step as soon as there is a place in it. Raises a HoneError."""
        self._left.remove(at)
        workings = self._workings
        try:
            there_is = workings.gates[at].enter(self, lambda: workings.turn.take(partial(self._called, at)))
        except HoneError as error:
            raise in_step(workings.steps[at], error) from error
        if there_is:
            self._submit(at)

    def _called(self, at: int) -> None:
        """There is a place in the step for this request now."""
        if self._over:
            self._workings.gates[at].leave()
        else:
            self._attempt(at, self._submit)

    def _submit(self, at: int) -> None:
        """Hand a step, in which it has a place, to its model. Raises a HoneError."""
        workings = self._workings
        try:
            wires = workings.composition.wires(at)
            request = self._request(at, wires)
            model = workings.composition.route(at, request)
            receiver = _StepReceiver(self, at, batched=model.config.max_batch_size > 0)
            self._exchanges[at] = _asked(model, request, receiver)
        except BaseException as error:
            workings.gates[at].leave()
            if isinstance(error, HoneError):
                raise in_step(workings.steps[at], error) from error
            raise
        for wire in wires:
            self._used(wire.tensor)

    def _request(self, at: int, wires: Sequence[Wire]) -> InferRequest:
        whole, step = self._whole, self._workings.steps[at]
        seconds = whole.deadline - time.monotonic()
        if seconds <= 0:
            raise DeadlineExceeded(f"not begun within {whole.deadline - whole.admitted:.3g} s")
        tensors, trace = [(wire, *self._tensors[wire.tensor]) for wire in wires], whole.request.trace
        return InferRequest(
            model=step.model,
            version=step.version,
            inputs=tuple([wire.carry(tensor, batched=batched) for wire, tensor, batched in tensors]),
            outputs=tuple(self._course.asks[at]),
            id=whole.request.id,
            parameters=whole.request.parameters,
            timeout=seconds,
            priority=whole.request.priority,
            protocol=PROTOCOL,
            trace=trace.child(f"step {step.model}", time.monotonic()) if trace else None,
        )

    def _used(self, tensor: str) -> None:
        """Keep a tensor no longer than somebody is still to take it."""
        self._uses[tensor] -= 1
        if not self._uses[tensor]:
            del self._tensors[tensor]

    # -- what comes back

    def responded(self, at: int, response: InferResponse, *, batched: bool) -> None:
        """The model of a step answers: with this the whole can be answered, or it is kept for whoever takes it.

        Raises BackendError for a second answer.
        """
        if self._over:
            return
        if at in self._responded:
            raise BackendError("the model answers more than once, which steps of an ensemble can't")
        made = {tensor.name: tensor for tensor in response.outputs}
        tensors = self._workings.steps[at].outputs
        fresh = {tensors[name]: (made[name], batched) for name in self._course.asks[at]}
        self._responded.add(at)
        if all(name in fresh or name in self._tensors for name in self._course.outputs):
            self._answer(self._tensors | fresh)  # what this step has made goes on as it is
            return
        for name, (tensor, _) in fresh.items():  # views of a slot that is about to be used again
            copy = Tensor(name=tensor.name, datatype=tensor.datatype, array=tensor.array.copy())
            self._tensors[name] = (copy, batched)

    def ended(self, at: int, error: HoneError | None) -> None:
        """The exchange of a step has ended."""
        step, exchange = self._workings.steps[at], self._exchanges.pop(at)
        self._workings.gates[at].leave()
        self.seconds += time.monotonic() - (exchange.started or exchange.admitted)
        _finish(exchange.request, error)
        if self._over:
            return
        if error is not None:
            self._whole.fail(in_step(step, error))
        elif at not in self._responded:
            self._whole.fail(in_step(step, BackendError("the model ended without an answer")))
        elif self._left:
            self._workings.turn.take(self._proceed)
        elif len(self._responded) == len(self._course.steps) and not self._exchanges:
            self._whole.finish()

    def _answer(self, tensors: Mapping[str, tuple[Tensor, bool]]) -> None:
        outputs = []
        for name in self._course.outputs:
            tensor, batched = tensors[name]
            outputs.append(self._workings.outputs[name].carry(tensor, batched=batched))
        self._workings.respond(self._whole, outputs)


class _StepReceiver:
    """Waits for one step. Implements `Receiver`."""

    def __init__(self, run: Run, at: int, *, batched: bool) -> None:
        self._run = run
        self._at = at
        self._batched = batched

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        self._run.responded(self._at, response, batched=self._batched)

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        self._run.ended(self._at, error)


def in_step(step: EnsembleStep, error: HoneError) -> HoneError:
    """The same error, saying where it happened."""
    text = str(error) if str(error).startswith(str(step)) else f"{step}: {error}"
    return type(error)(text, error.wait) if isinstance(error, Unavailable) else type(error)(text)


def _asked(model: Servable, request: InferRequest, receiver: _StepReceiver) -> Exchange:
    """Submit a step's request; a refusal counts as the engine counts those of clients."""
    try:
        return model.submit(request, receiver)
    except HoneError as error:
        model.metrics.refuse(request.protocol, error.outcome, error.reason)
        _finish(request, error)
        raise


def _finish(request: InferRequest, error: HoneError | None) -> None:
    """The step is done, if it is traced."""
    if request.trace:
        request.trace.attributes["hone.model"] = request.model
        request.trace.finish(time.monotonic(), error.reason if error else "")
