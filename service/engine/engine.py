"""The engine's front: what the doors call."""

from service.artifact.transforms import Medium
from service.engine.catalog import Catalog
from service.engine.classification import Classified
from service.engine.exchange import Exchange, Receiver
from service.engine.model_control import ModelControl
from service.engine.preparation import Preparation
from service.engine.servable import Servable
from service.engine.statistics import statistics_of
from service.engine.text.model import TextModel
from service.engine.traced import Traced
from service.errors import Draining, HoneError, NotReady, Unsupported
from service.messages import InferRequest, Tensor
from service.metadata import IndexEntry, ModelMetadata, ModelStatistics, TensorMetadata
from service.metrics import Metrics
from service.repository.override import Override
from service.tracing import TraceControl

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "sequence",
    "parameters",
    "statistics",
    "trace",
)


class Engine:
    """Owns whether the server takes requests: `catalog` says what is served, `control` what is to be."""

    def __init__(
        self,
        *,
        server_name: str,
        server_version: str,
        catalog: Catalog,
        control: ModelControl,
        metrics: Metrics,
        traces: TraceControl,
        extensions: tuple[str, ...] = EXTENSIONS,
    ) -> None:
        self.server_name = server_name
        self.server_version = server_version
        self.extensions = extensions
        self.traces = traces
        self.catalog = catalog
        self._control = control
        self._preparation = Preparation()
        self._metrics = metrics
        self._loaded = False
        self._stopping = False
        self._draining = False

    # -- life

    async def start(self) -> None:
        """Load the models to start with; requests are taken for each as soon as it is ready."""
        await self._control.start()
        self._loaded = True

    async def announce_stop(self) -> None:
        """Not ready any more, so that balancers look elsewhere, and no model changes; requests are still taken."""
        self._stopping = True
        await self._control.stop()

    def interrupt(self) -> None:
        """Take nothing new, and end texts that are being written: whoever reads them hears why."""
        self._draining = True
        for model in (*self.catalog.models(), *self.catalog.departing()):
            if isinstance(model, TextModel):
                model.interrupt()

    async def stop(self) -> None:
        """Take nothing new and end all workers; what is still unanswered is failed."""
        self._stopping = self._draining = True
        await self._preparation.stop()
        await self.catalog.stop()

    # -- what the doors ask

    def live(self) -> bool:
        """Whether the process answers at all."""
        return True

    def ready(self) -> bool:
        """Whether all models that could be loaded can compute, and the server isn't stopping.

        An ensemble can when its models can; one that lacks a model counts as one that couldn't be loaded.
        """
        return self._loaded and not self._stopping and all(model.ready for model in self.catalog.computing())

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Admit a request: `receiver` hears of it later, never within this call. Raises a HoneError if refused."""
        model: Servable | None = None
        try:
            if self._draining:
                raise Draining("the server is stopping")
            model = self.catalog.route(request)
            if request.classes:
                receiver = Classified(receiver, request.classes, model.config)
            if self.traces.on and (trace := self.traces.sample(model.name)):
                return Traced(model, request, receiver, trace).submit()
            return model.submit(request, receiver)
        except HoneError as error:
            if model:
                _refuse(model, request, error)
            else:
                self.refuse(request.model, request.version, request.protocol, error)
            raise

    async def prepare(
        self, model: str, version: str | None, medium: Medium, content: bytes, seconds: float
    ) -> tuple[Tensor, ...]:
        """The inputs that a model's card makes of a picture's file or a text. Raises a HoneError."""
        if self._draining:
            raise Draining("the server is stopping")
        found = self.catalog.find(model, version)
        wanted, config = found.transformation, found.config
        if wanted is None or wanted.medium != medium:
            raise Unsupported(
                f'the card of model "{model}" doesn\'t say how a {medium} becomes its inputs: send them as tensors'
            )
        arrays = await self._preparation.tensors(content, wanted, seconds)
        ranks = {spec.name: len(spec.shape) + (config.max_batch_size > 0) for spec in config.inputs}
        return tuple(
            Tensor(
                name=spec.name,
                datatype=spec.datatype,
                array=array.reshape((1,) * (ranks[spec.name] - array.ndim) + array.shape),
            )
            for spec, array in zip(wanted.tensors, arrays, strict=True)
        )

    def precheck(self, model: str, version: str | None, timeout: float | None) -> None:
        """Raises a HoneError if a request would be refused whatever its body holds, unless that grants less time;
        `refuse` isn't called for it.
        """
        if self._draining:
            raise Draining("the server is stopping")
        self.catalog.find(model, version).precheck(timeout)

    def refuse(self, model: str, version: str | None, protocol: str, error: HoneError) -> None:
        """Count a request that was refused before it was admitted."""
        try:
            metrics = self.catalog.find(model, version).metrics
        except HoneError:
            metrics = self._metrics.unknown
        metrics.refuse(protocol, error.outcome, error.reason)

    def turn_away(self, request: InferRequest, error: HoneError) -> None:
        """Refuse a request that a door understood: it is counted, and nobody goes on as if it hadn't been sent."""
        try:
            model = self.catalog.route(request)
        except HoneError:
            self._metrics.unknown.refuse(request.protocol, error.outcome, error.reason)
        else:
            _refuse(model, request, error)

    def model_ready(self, model: str, version: str | None) -> bool:
        """Whether a worker of it can compute. Raises ModelNotFound."""
        try:
            return not self._stopping and self.catalog.find(model, version).ready
        except NotReady:
            return False

    def metadata(self, model: str, version: str | None) -> ModelMetadata:
        """Names, datatypes and shapes, batch axis included. Raises ModelNotFound or NotReady."""
        config = self.catalog.find(model, version).config
        batch = (-1,) if config.max_batch_size else ()
        tensors = [
            tuple(TensorMetadata(name=spec.name, datatype=spec.datatype, shape=batch + spec.shape) for spec in specs)
            for specs in (config.inputs, config.outputs)
        ]
        return ModelMetadata(
            name=config.name,
            versions=self.catalog.versions(model),
            platform=config.platform,
            inputs=tensors[0],
            outputs=tensors[1],
        )

    def config(self, model: str, version: str | None) -> dict[str, object]:
        """The completed configuration as Triton's JSON. Raises ModelNotFound or NotReady."""
        return self.catalog.find(model, version).config.to_json()

    def statistics(self, model: str | None, version: str | None) -> list[ModelStatistics]:
        """Of one version, of all versions of a model, or of all models. Raises ModelNotFound or NotReady."""
        if model is None:
            return [statistics_of(one) for one in self.catalog.models()]
        wanted = [version] if version else self.catalog.versions(model) or [None]
        return [statistics_of(self.catalog.find(model, one)) for one in wanted]

    async def index(self) -> list[IndexEntry]:
        """Every model and version with its state; those that could be loaded explicitly by their name alone."""
        return await self._control.index()

    def check_explicit(self) -> None:
        """Raises InvalidRequest unless models are loaded and unloaded by request."""
        self._control.check_explicit()

    async def load_model(self, model: str, override: Override | None = None) -> None:
        """Serve a model as it is in the repository now, or as `override` has it. Raises a HoneError that says why that
        isn't possible.
        """
        await self._control.load(model, override)

    async def unload_model(self, model: str, *, dependents: bool = False) -> None:
        """Serve a model no longer, nor with `dependents` those that only it needs; returns when what they had admitted
        is answered. Raises InvalidRequest.
        """
        await self._control.unload(model, dependents=dependents)


def _refuse(model: Servable, request: InferRequest, error: HoneError) -> None:
    model.metrics.refuse(request.protocol, error.outcome, error.reason)
    if model.sequences:
        model.sequences.refused(request)
