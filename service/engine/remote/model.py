"""A generation that a remote Triton server computes."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence

import structlog

from service.artifact.config import ModelConfig, complete
from service.engine.admission import Admission
from service.engine.exchange import Exchange, Receiver
from service.engine.remote.breaker import Breaker
from service.engine.remote.connection import RemoteConnection, RemoteDescription
from service.engine.remote.fault import Kind, RemoteFault
from service.engine.remote.patience import RemotePatience, varied
from service.engine.scheduling.remote import RemoteScheduler
from service.engine.source import EngineLimits, ModelSource
from service.errors import ArtifactError, BackendError, HoneError, InvalidRequest, NotReady
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics

_log = structlog.get_logger()


class RemoteModel:
    """Owns the connection, the scheduler and the numbers of one remote generation. Implements `Servable`.

    A remote that is down doesn't keep the model from being listed: it is asked in the background, less and less often,
    until it is there. Whenever it comes back it is asked anew what the model looks like.
    """

    def __init__(
        self,
        source: ModelSource,
        metrics: ModelMetrics,
        limits: EngineLimits,
        patience: RemotePatience | None = None,
    ) -> None:
        self.name = source.name
        self.version = source.version
        self.metrics = metrics
        self._source = source
        self._limits = limits
        self._patience = patience or RemotePatience()
        self._breaker = Breaker(self._changed)
        self._connection: RemoteConnection | None = None
        self._scheduler: RemoteScheduler | None = None
        self._admission: Admission | None = None
        self._config: ModelConfig | None = None
        self._problem = ""
        self._watch: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed by what the remote says. Raises NotReady as long as it hasn't been asked."""
        if self._config is None:
            raise NotReady(f'model "{self.name}": {self._problem or "is still loading"}')
        return self._config

    @property
    def ready(self) -> bool:
        """Whether the remote can compute, as far as is known."""
        return self._config is not None and self._breaker.ready

    @property
    def problem(self) -> str:
        """Why the remote can't compute; empty while it can."""
        return "" if self.ready else self._problem

    @property
    def transformation(self) -> None:
        """See `Servable`: nothing makes its inputs."""

    @property
    def sequences(self) -> None:
        """See `Servable`: the remote server has those."""

    async def load(self) -> None:
        """Ask the remote what the model looks like; one that can't say is asked again in the background.

        Raises ArtifactError when no such remote was named at the start, or its model isn't what the configuration says.
        """
        began = time.monotonic()
        connection = self._connect()
        try:
            self._adopt(await connection.describe(self._patience.load))
        except RemoteFault as fault:
            self._give_reason(fault)
            self._breaker.trip()
        except BaseException:
            await connection.close()
            raise
        self.metrics.load_seconds = time.monotonic() - began
        self._changed()
        self._watch = asyncio.create_task(self._keep_watch(connection))

    async def stop(self) -> None:
        """End the connection; what is still at the remote is failed."""
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._scheduler:
            await self._scheduler.stop()
        if self._connection:
            await self._connection.close()
        self._show(ready=False)

    async def linger(self, seconds: float) -> None:
        """See `Servable`: nothing is waited for."""

    async def drain(self, seconds: float) -> bool:
        """Wait until all that was admitted has ended, for so long at most; whether it has."""
        return self._admission is None or await self._admission.drain(seconds)

    # -- requests

    def precheck(self, timeout: float | None) -> None:
        """Raises NotReady or QueueFull for a request that would be refused whatever it holds."""
        admission, scheduler = self._serving()
        scheduler.precheck(admission.longest(timeout), admission.least_weight)

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Check the request against the configuration and pass it through. Raises a HoneError when it isn't taken."""
        admission, scheduler = self._serving()
        exchange = admission.exchange(request, receiver, self)
        most = self.config.max_batch_size
        if exchange.rows > most > 0:  # requests aren't split here
            raise InvalidRequest(f'{exchange.rows} rows, model "{self.name}" takes 1 to {most} in a request')
        scheduler.submit(exchange)
        admission.live += 1
        return exchange

    def _serving(self) -> tuple[Admission, RemoteScheduler]:
        if self._admission is None or self._scheduler is None:
            raise NotReady(f'model "{self.name}": {self._problem or "is still loading"}')
        return self._admission, self._scheduler

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        admission, scheduler = self._serving()
        admission.ended(exchanges, error)
        for exchange in exchanges:
            scheduler.left(exchange)

    def _respond(self, exchange: Exchange, answer: Mapping[str, Tensor]) -> None:
        """Answer with the outputs that were asked for. Raises BackendError when the remote broke its word."""
        batch = (exchange.rows,) if self.config.max_batch_size else ()
        outputs = []
        for _, spec in exchange.outputs:
            tensor = answer.get(spec.name)
            if tensor is None:
                raise BackendError(f'the remote server answered without output "{spec.name}"')
            shape, expected = tensor.array.shape, batch + spec.shape
            fits = len(shape) == len(expected) and all(e in (-1, s) for e, s in zip(expected, shape, strict=True))
            if tensor.datatype != spec.datatype or not fits:
                raise BackendError(
                    f'the remote server answered output "{spec.name}" as {tensor.datatype} {list(shape)},'
                    f" its model has {spec.datatype} {list(expected)}"
                )
            outputs.append(tensor)
        exchange.answer(
            InferResponse(model=self.name, version=self.version, outputs=tuple(outputs), id=exchange.request.id)
        )

    # -- the remote

    def _connect(self) -> RemoteConnection:
        assert self._source.config
        config, named = self._source.config, self._source.config.hone.remote
        address = self._limits.remotes.get(named)
        if address is None:
            raise ArtifactError(f'{self.name}: hone.remote is "{named}", which no --remote {named}=URL names')
        self._connection = RemoteConnection(
            address,
            model=self.name,
            version="" if config.version_policy.specific is None else self.version,
            max_answer_bytes=self._limits.max_output_bytes,
        )
        return self._connection

    def _adopt(self, description: RemoteDescription) -> None:
        """Serve the model as the remote describes it. Raises ArtifactError when the configuration says otherwise."""
        config = complete(
            self._source.config, self.name, description.signature, max_batch_size=description.max_batch_size
        )
        if config.max_batch_size > description.max_batch_size:
            raise ArtifactError(
                f"{config.origin}: max_batch_size is {config.max_batch_size}, the remote's model takes"
                f" {description.max_batch_size}"
            )
        if config == self._config:
            return
        limits, batching = self._limits, config.dynamic_batching
        own_bound = batching.default_queue_policy.max_queue_size if batching else 0
        self._config = config
        if self._admission:  # what is under way stays counted
            self._admission.change(config)
        else:
            self._admission = Admission(config, self.metrics, default_deadline=limits.default_deadline)
        self._scheduler = self._scheduler or RemoteScheduler(
            self._remote,
            self._breaker,
            self.metrics,
            self._respond,
            max_requests=own_bound or limits.max_queued_requests,
            max_bytes=limits.max_queued_bytes,
        )
        hone = config.hone
        self.metrics.info = {"family": hone.family, "variant": hone.variant, "backend": config.backend, "precision": ""}

    @property
    def _remote(self) -> RemoteConnection:
        assert self._connection
        return self._connection

    # -- health

    def _changed(self) -> None:
        """The breaker's verdict changed."""
        self._show(ready=self.ready)
        if not self._breaker.ready:
            self._problem = self._problem or "the remote server can't be reached"
            self._woken.set()

    def _show(self, *, ready: bool) -> None:
        self.metrics.ready = ready
        self.metrics.workers_up = {"remote": int(ready)}

    def _give_reason(self, error: RemoteFault | ArtifactError) -> None:
        if self._problem != str(error):
            _log.warning("remote not ready", model=self.name, version=self.version, reason=str(error))
        self._problem = str(error)

    async def _keep_watch(self, connection: RemoteConnection) -> None:
        """Ask after the remote for as long as the model is served, the less often the longer it is down."""
        patience = self._patience
        pause = patience.first_pause
        while True:
            if self.ready:
                pause = patience.first_pause
                self._woken.clear()
                quiet = patience.between_probes if not self._breaker.failures else patience.first_pause
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), quiet)
                    continue
                question = self._probe
            else:
                await asyncio.sleep(varied(pause))
                pause = min(2 * pause, patience.longest_pause)
                question = self._recover
            try:
                await question(connection)
            except Exception:  # a fault of ours must not end the watch
                _log.exception("can't ask after a remote model", model=self.name, version=self.version)

    async def _probe(self, connection: RemoteConnection) -> None:
        try:
            await connection.ready(self._patience.probe)
        except RemoteFault as fault:
            self._give_reason(fault)
            if fault.kind in (Kind.DECLINED, Kind.REFUSED):
                self._breaker.trip()
            else:
                self._breaker.failed()
        else:
            self._problem = ""

    async def _recover(self, connection: RemoteConnection) -> None:
        try:
            self._adopt(await connection.describe(self._patience.probe))
        except (RemoteFault, ArtifactError) as error:
            self._give_reason(error)
            return
        _log.info("remote ready", model=self.name, version=self.version)
        self._problem = ""
        self._breaker.recovered()
        self._changed()
