"""A generation that other models of this server compute."""

import asyncio
import contextlib
import math
import time
from collections.abc import Collection, Sequence

import structlog

from service.artifact.config import ModelConfig
from service.artifact.ensemble_scheduling import EnsembleScheduling
from service.engine.admission import Admission
from service.engine.ensemble.composition import Composition, Models
from service.engine.ensemble.course import Course, course
from service.engine.ensemble.gate import Gate
from service.engine.ensemble.run import Run, Workings, in_step
from service.engine.ensemble.wiring import wires_out
from service.engine.exchange import Exchange, Receiver
from service.engine.scheduling.expiry import Expiry
from service.engine.source import EngineLimits, ModelSource
from service.errors import ArtifactError, HoneError, NotReady, WorkerLost
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from service.turn import Turn

_BETWEEN_LOOKS = 1.0
"""Seconds after which it is looked anew whether the models of the steps can compute: nobody says when that changes."""
_MOST_COURSES = 256
_log = structlog.get_logger()


class EnsembleModel:
    """Owns the requests to one generation of an ensemble, from the first step to the last. Implements `Servable`.

    A model that isn't there doesn't keep it from being listed: it isn't ready until all are there and fit.
    """

    def __init__(self, source: ModelSource, metrics: ModelMetrics, limits: EngineLimits, models: Models) -> None:
        assert source.config
        assert source.config.ensemble_scheduling
        self.name = source.name
        self.version = source.version
        self.metrics = metrics
        self._config = source.config
        self._scheduling: EnsembleScheduling = source.config.ensemble_scheduling
        self._composition = Composition(source.config, models)
        self._admission = Admission(source.config, metrics, default_deadline=limits.default_deadline)
        self._expiry = Expiry(lambda: self._runs, (), _never)
        self._runs: dict[Exchange, Run] = {}
        self._courses: dict[tuple[str, ...], Course] = {}
        self._problem = "is still loading"
        self._looking: asyncio.TimerHandle | None = None
        steps, most = self._scheduling.steps, limits.max_queued_requests
        self._workings = Workings(
            steps=steps,
            composition=self._composition,
            gates=[Gate(self._scheduling.max_inflight_requests, most) for _ in steps],
            outputs=wires_out(source.config),
            batched=source.config.max_batch_size > 0,
            turn=Turn.of(asyncio.get_running_loop()),
            respond=self._respond,
        )

    @property
    def config(self) -> ModelConfig:
        """The configuration, which is complete as it is written."""
        return self._config

    @property
    def ready(self) -> bool:
        """Whether the models of all steps can compute, and fit together."""
        return not self.problem

    @property
    def transformation(self) -> None:
        """See `Servable`: nothing makes its inputs."""

    @property
    def problem(self) -> str:
        """Which model can't compute, or doesn't fit; empty while all can and do."""
        try:
            self._composition.check()
            models = self._composition.models()
        except (NotReady, ArtifactError) as error:
            return str(error)
        unready = (f"{step}: {model.problem or 'is not ready'}" for step, model in models if not model.ready)
        return next(unready, "")

    @property
    def sequences(self) -> None:
        """See `Servable`: its models have those."""

    async def load(self) -> None:
        """Look at the models of the steps. Raises ArtifactError when those that are there don't fit together."""
        began = time.monotonic()
        with contextlib.suppress(NotReady):  # as the index will say
            self._composition.check()
        hone = self._config.hone
        self.metrics.info = {
            "family": hone.family,
            "variant": hone.variant,
            "backend": self._config.backend,
            "precision": "",
        }
        self.metrics.load_seconds = time.monotonic() - began
        self._problem = ""
        self._look()

    async def linger(self, seconds: float) -> None:
        """See `Servable`: nothing is waited for."""

    async def drain(self, seconds: float) -> bool:
        """Wait until all that was admitted has ended, for so long at most; whether it has."""
        return await self._admission.drain(seconds)

    async def stop(self) -> None:
        """Fail what is still under way."""
        if self._looking:
            self._looking.cancel()
        self._expiry.stop()
        for exchange in list(self._runs):
            exchange.fail(WorkerLost("the model was stopped"))
        self.metrics.ready = False

    # -- requests

    def precheck(self, timeout: float | None) -> None:
        """Raises a HoneError for a request that the first steps would refuse whatever it holds."""
        self._composition.admit()
        longest = self._admission.longest(timeout)
        for step, model in self._composition.models():
            if step.number in self._scheduling.certain:
                try:
                    model.precheck(None if longest == math.inf else longest)
                except HoneError as error:
                    raise in_step(step, error) from error

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Check the request and begin the first steps. Raises a HoneError when it isn't taken."""
        self._composition.admit()
        exchange = self._admission.exchange(request, receiver, self)
        exchange.started = exchange.admitted  # it never waits itself, its steps do
        run = Run(exchange, self._course(tuple([spec.name for _, spec in exchange.outputs])), self._workings)
        run.begin()
        self._runs[exchange] = run
        self._admission.live += 1
        self._expiry.watch(exchange.deadline)
        self.metrics.queue_duration.observe(0.0)
        return exchange

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        self._admission.ended(exchanges, error)
        for exchange in exchanges:
            run = self._runs.pop(exchange)
            run.abandon()
            if error is None:
                self._count(exchange, run)

    def _count(self, exchange: Exchange, run: Run) -> None:
        """As Triton counts ensembles: one execution, whose computing is that of its steps."""
        self.metrics.statistics.computed(1, exchange.rows, (0.0, run.seconds, 0.0))
        self.metrics.executions += 1
        self.metrics.inferences += exchange.rows

    def _course(self, outputs: tuple[str, ...]) -> Course:
        found = self._courses.get(outputs)
        if found is None:
            if len(self._courses) >= _MOST_COURSES:
                self._courses.clear()
            found = self._courses[outputs] = course(self._scheduling, outputs)
        return found

    def _respond(self, exchange: Exchange, outputs: Sequence[Tensor]) -> None:
        exchange.emit(
            InferResponse(model=self.name, version=self.version, outputs=tuple(outputs), id=exchange.request.id)
        )

    # -- health

    def _look(self) -> None:
        """Say how it is now, and look again later."""
        problem = self.problem
        if problem != self._problem:
            if problem:
                _log.warning("ensemble not ready", model=self.name, version=self.version, reason=problem)
            else:
                _log.info("ensemble ready", model=self.name, version=self.version)
        self._problem, self.metrics.ready = problem, not problem
        self._looking = asyncio.get_running_loop().call_later(_BETWEEN_LOOKS, self._look)


def _never(exchanges: Collection[Exchange]) -> None:
    """Nothing is delayed here."""
