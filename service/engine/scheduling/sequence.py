"""Steps of sequences: each begins when the one before it is answered, with the states that that one left.

A step is an exchange of its own for the dynamic batcher, so steps of different sequences share batches, and are retried
like any other request. Workers keep nothing: the states are kept here, and replaced only when a step's answer has been
handed on. What a client knows and what is kept can't differ.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from functools import partial

from service.artifact.config import ModelConfig
from service.engine.correlation import Correlation, correlation_of, is_id
from service.engine.exchange import Exchange, end_all
from service.engine.request_sequence import RequestSequence
from service.engine.scheduling.crew import Crew
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.scheduling.expiry import Expiry
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.scheduling.resting import Resting
from service.engine.scheduling.slots import Slots
from service.engine.scheduling.station import Station
from service.engine.scheduling.step_answer import StepAnswer
from service.engine.steps import States, Steps
from service.errors import HoneError, InvalidRequest, QueueFull, WorkerLost
from service.messages import InferRequest
from service.metrics import ModelMetrics
from service.quoting import quoted
from service.turn import Turn


class SequenceScheduler:
    """Owns the sequences of one model. Implements `Scheduler`, and `ExchangeOwner` for their steps.

    As many sequences are in progress as Triton's strategies allow (a slot for each); others wait in the order of their
    first request. `vet` raises a HoneError for a step that isn't to be computed. The owner of a request has to call
    `left` when it ended, other than well.
    """

    def __init__(
        self,
        config: ModelConfig,
        batcher: DynamicBatcher,
        metrics: ModelMetrics,
        policy: BatchingPolicy,
        vet: Callable[[Exchange], None],
    ) -> None:
        batching = config.sequence_batching
        assert batching
        self._model = config.name
        self._steps = Steps(config, batching)
        self._slots_each = batching.slots
        self._slots = Slots()
        self._batcher = batcher
        self._policy = policy
        self._vet = vet
        self._sequences: dict[int | str, RequestSequence] = {}  # the latest of each name
        self._of: dict[Exchange, RequestSequence] = {}
        self._resting = Resting(batching.idle_microseconds / 1e6, self._leave)
        self._due: dict[RequestSequence, None] = {}
        self._bytes = 0
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._turn = Turn.of(self._loop)
        self._expiry = Expiry(lambda: self._of, (), _never)
        queued, since = metrics.pending, metrics.waiting_since
        metrics.pending = lambda: queued() + sum([len(sequence.waiting) for sequence in set(self._of.values())])
        metrics.waiting_since = lambda: min([since(), *[one.waiting_since for one in set(self._of.values())]])
        metrics.sequences = self._slots.__len__

    # -- Scheduler

    @property
    def crew(self) -> Crew:
        """The instances that compute the steps."""
        return self._batcher.crew

    @property
    def ready(self) -> bool:
        """See `Scheduler`."""
        return self._batcher.ready

    def serve(self, stations: Sequence[Station], *, join: bool = True) -> None:
        """Have steps computed at these stations from now on; without `join` each by itself."""
        self._batcher.serve(stations, join=join)
        self._slots.most = self._slots_each * len(self.crew.instances)

    def precheck(self, allowance: float, weight: float) -> None:
        """See `Scheduler`: raises nothing. Only the body says whose step it is, and nobody is to go on without it."""

    def submit(self, exchange: Exchange) -> None:
        """See `Scheduler`. Raises InvalidRequest too, for a request that is no step of a sequence."""
        correlation = correlation_of(exchange.request)
        if exchange.rows != 1:
            raise InvalidRequest(f'{exchange.rows} rows, but steps of sequences (model "{self._model}") have one')
        sequence = self._sequences.get(correlation.id)
        if sequence is None or sequence.ending:
            sequence = self._first(correlation)
        self._check_room(exchange)
        if correlation.start:
            sequence.version = exchange.request.version
        if sequence.rests and (sequence.seated or self._slots.free):
            self._begin(sequence, exchange, correlation)
        else:
            sequence.waiting.append((exchange, correlation))
        self._keep(sequence, exchange, correlation)

    def left(self, exchange: Exchange) -> None:
        """It ended before it was answered: what it left behind is as if it hadn't been, and who built on it ends."""
        sequence = self._forget(exchange)
        if sequence is None:
            return
        step = None
        if sequence.current is exchange:
            step, sequence.current, sequence.step = sequence.step, None, None
        behind = sequence.part_after(exchange)
        if exchange.request.parameters.get("sequence_start") is True:  # nobody goes on from what was before a start
            if step:
                sequence.states = None
            if not any(correlation.start for _, correlation in sequence.waiting):
                self._close(sequence)
        sequence.ending = any(correlation.end for _, correlation in sequence.waiting)
        for one in behind:
            self._forget(one)
        if behind:
            why = f"a step before it in sequence {quoted(sequence.id)} has failed, it wasn't computed: send both again"
            self._loop.call_soon(end_all, behind, InvalidRequest(why))
        if step:
            step.cancel()
        self._go_on_soon(sequence)

    def refused(self, request: InferRequest) -> None:
        """A request wasn't taken, and nobody is to go on as if it hadn't been sent.

        One that was to begin a sequence has ended the one before it, of the same name. Any other ends its own when
        steps before it are still under way: whoever sends ahead may have sent the next one too. Where there are none
        it can be sent again.
        """
        name = request.parameters.get("sequence_id")
        sequence = self._sequences.get(name) if is_id(name) else None
        if sequence is None:
            return
        if request.parameters.get("sequence_start", False) is not False or not (sequence.rests or sequence.ending):
            self._close(sequence)

    # -- the sequences

    def has(self, name: int | str, version: str | None) -> bool:
        """Whether the latest sequence of this name is here, begun by a request that named this version, or none."""
        sequence = self._sequences.get(name)
        return sequence is not None and sequence.version == version

    def close(self, *names: int | str) -> None:
        """Have these go no further than the steps that are here; without names, all."""
        for name in names or list(self._sequences):
            if sequence := self._sequences.get(name):
                self._close(sequence)

    def end(self, name: int | str) -> None:
        """Have a sequence of which nobody waits end without a last step."""
        if (sequence := self._sequences.get(name)) and sequence.rests:
            sequence.over = True
            self._leave(sequence)

    async def over(self, seconds: float) -> None:
        """Wait until none is in progress, for so long at most."""
        if len(self._slots):
            self._emptied.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), seconds)

    async def stop(self) -> None:
        """See `Scheduler`."""
        self._expiry.stop()
        self._resting.stop()
        await self._batcher.stop()
        for exchange in list(self._of):
            exchange.fail(WorkerLost("the model was stopped"))

    # -- a sequence's way

    def _first(self, correlation: Correlation) -> RequestSequence:
        if not correlation.start:
            raise InvalidRequest(
                f"inference request for sequence {quoted(correlation.id)} to model '{self._model}' must specify the"
                " START flag on the first request of the sequence; one that was idle for too long, whose model was"
                " unloaded, or of which a step was refused while others were under way, begins anew"
            )
        return RequestSequence(id=correlation.id)

    def _check_room(self, exchange: Exchange) -> None:
        most, room = self._policy.max_queued_requests, self._policy.max_queued_bytes
        if len(self._of) >= most:
            raise QueueFull(f"{len(self._of)} steps are waiting or being computed, the limit is {most}")
        if self._bytes + exchange.nbytes > room:
            raise QueueFull(f"{self._bytes} bytes are waiting; {exchange.nbytes} more exceed this model's queue")

    def _keep(self, sequence: RequestSequence, exchange: Exchange, correlation: Correlation) -> None:
        self._slots.enter(sequence)
        self._resting.remove(sequence)
        self._of[exchange] = sequence
        self._bytes += exchange.nbytes
        self._expiry.watch(exchange.deadline)
        sequence.ending = correlation.end
        self._sequences[sequence.id] = sequence

    def _forget(self, exchange: Exchange) -> RequestSequence | None:
        sequence = self._of.pop(exchange, None)
        if sequence:
            self._bytes -= exchange.nbytes
        return sequence

    def _begin(self, sequence: RequestSequence, exchange: Exchange, correlation: Correlation) -> None:
        """Have a step computed. Raises a HoneError where that isn't to be."""
        first = correlation.start or sequence.states is None
        states = self._steps.initial if first else sequence.states
        assert states is not None
        inputs = [*exchange.inputs, *self._steps.inputs(correlation, states, first=first)]
        step = Exchange(
            request=exchange.request,
            receiver=StepAnswer(exchange, partial(self._computed, exchange, correlation)),
            owner=self,
            inputs=inputs,
            outputs=[*exchange.outputs, *self._steps.outputs],
            rows=1,
            nbytes=sum([array.nbytes for array in inputs]),
            admitted=exchange.admitted,
            deadline=exchange.deadline,
            lengths=exchange.lengths,
            weight=exchange.weight,
        )
        self._vet(step)
        self._batcher.submit(step)
        sequence.current, sequence.step = exchange, step

    def _computed(self, exchange: Exchange, correlation: Correlation, states: States) -> None:
        """The answer of a step has been handed on, and these are the states that it left."""
        sequence = self._forget(exchange)
        if sequence is None:
            return  # it was given up in the same moment
        sequence.current = sequence.step = None
        sequence.states, sequence.over = states, sequence.over or correlation.end
        exchange.finish()
        self._go_on_soon(sequence)

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """See `ExchangeOwner`: steps have ended."""
        if error is not None:
            for step in exchanges:
                if not step.started:
                    self._batcher.left(step)

    def _go_on_soon(self, sequence: RequestSequence) -> None:
        if not self._due:
            self._turn.last(self._go_on)
        self._due[sequence] = None

    def _go_on(self) -> None:
        due, self._due = self._due, {}
        for sequence in due:
            self._next(sequence)

    def _next(self, sequence: RequestSequence) -> None:
        while sequence.seated and sequence.current is None and sequence.waiting:
            exchange, correlation = sequence.waiting.popleft()
            try:
                self._begin(sequence, exchange, correlation)
            except HoneError as error:
                exchange.fail(error)
        if sequence.rests:
            self._rest(sequence)

    def _rest(self, sequence: RequestSequence) -> None:
        """Nobody of it is here: it has ended, or it is waited for a while whether it goes on."""
        if sequence.over or sequence.states is None or self._sequences.get(sequence.id) is not sequence:
            self._leave(sequence)
            return
        self._resting.add(sequence)

    def _close(self, sequence: RequestSequence) -> None:
        if self._sequences.get(sequence.id) is sequence:
            del self._sequences[sequence.id]
        sequence.over = True
        self._go_on_soon(sequence)

    def _leave(self, sequence: RequestSequence) -> None:
        """It is over: whoever waits for a slot gets its own."""
        self._resting.remove(sequence)
        if self._sequences.get(sequence.id) is sequence:
            del self._sequences[sequence.id]
        self._slots.leave(sequence)
        for following in self._slots.follow():
            self._go_on_soon(following)
        if not len(self._slots):
            self._emptied.set()


def _never(exchanges: Collection[Exchange]) -> None:
    """Nothing is delayed here: a step's time in the queue is the batcher's business."""
