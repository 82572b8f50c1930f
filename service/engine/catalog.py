"""Which models are served, in which versions, and why the others aren't."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import structlog

from service.engine.device import Devices
from service.engine.model import Model
from service.engine.remote.model import RemoteModel
from service.engine.served_model import EngineLimits, ModelSource, ServedModel
from service.errors import HoneError, ModelNotFound, NotReady
from service.metadata import IndexEntry
from service.metrics import Metrics
from service.quoting import quoted

_CORES_A_LOAD = 2
"""Cores that a load keeps busy, about: more at once would disturb what each measures."""
_log = structlog.get_logger()

LOADING = "LOADING"
READY = "READY"
UNAVAILABLE = "UNAVAILABLE"


@dataclass(kw_only=True, slots=True)
class Generation:
    """A version of a model, from the moment that it is to be served; `model` is None when it never could be."""

    name: str
    version: str
    state: str
    reason: str = ""
    model: Model | None = None

    def entry(self) -> IndexEntry:
        """As the index lists it: a model without a worker isn't ready, though it was loaded."""
        problem = self.model.problem if self.model else ""
        state = UNAVAILABLE if problem else self.state
        return IndexEntry(name=self.name, version=self.version, state=state, reason=problem or self.reason)


class Catalog:
    """Owns every generation, and which of them answers for a name when a client asks for no version: the newest."""

    def __init__(self, devices: Devices, metrics: Metrics, limits: EngineLimits) -> None:
        self._devices = devices
        self._metrics = metrics
        self._limits = limits
        self._generations: dict[str, dict[str, Generation]] = {}
        self._default: dict[str, Model] = {}

    async def load(self, sources: Iterable[ModelSource]) -> None:
        """Load all sources; one that fails is listed with its reason and doesn't stop the others."""
        gate = asyncio.Semaphore(max(self._devices.cores // _CORES_A_LOAD, 1))

        async def load_one(source: ModelSource) -> None:
            async with gate:
                await self._load(source)

        await asyncio.gather(*[load_one(source) for source in sources])

    def refuse(self, name: str, version: str, reason: str) -> None:
        """List a model that can't be served."""
        self._put(Generation(name=name, version=version, state=UNAVAILABLE, reason=reason))

    def find(self, name: str, version: str | None) -> Model:
        """The served model. Raises ModelNotFound, or NotReady for one that is listed but can't answer."""
        if version is None:
            model = self._default.get(name)
            if model is not None:
                return model
        generation = self._generation(name, version)
        if generation.model is None:
            text = "is still loading" if generation.state == LOADING else "could not be loaded"
            raise NotReady(f'model "{name}" {text}')
        return generation.model

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions of a model that are served, oldest first."""
        generations = self._generations.get(name, {}).values()
        return tuple(sorted((found.version for found in generations if found.model), key=int))

    def models(self) -> Iterator[Model]:
        """Every generation that was loaded."""
        for generation in self:
            if generation.model:
                yield generation.model

    def index(self) -> list[IndexEntry]:
        """Every generation with its state, as the repository index lists it."""
        return [found.entry() for found in self]

    async def stop(self) -> None:
        """End all workers."""
        await asyncio.gather(*(model.stop() for model in self.models()))

    def __iter__(self) -> Iterator[Generation]:
        for versions in self._generations.values():
            yield from versions.values()

    async def _load(self, source: ModelSource) -> None:
        generation = Generation(name=source.name, version=source.version, state=LOADING)
        self._put(generation)
        model = self._model(source)
        try:
            await model.load()
        except HoneError as error:
            generation.state, generation.reason = UNAVAILABLE, str(error)
            return
        except Exception:  # a fault of ours in loading one model must not end the others
            _log.exception("can't load", model=source.name, version=source.version)
            generation.state, generation.reason = UNAVAILABLE, "internal error while loading; the log has the trace"
            return
        generation.state, generation.model = READY, model
        newest = self._default.get(source.name)
        if newest is None or int(newest.version) < int(source.version):
            self._default[source.name] = model

    def _model(self, source: ModelSource) -> Model:
        metrics = self._metrics.model(source.name, source.version)
        if source.config and source.config.hone.remote:
            return RemoteModel(source, metrics, self._limits)
        return ServedModel(source, self._devices, metrics, self._limits)

    def _put(self, generation: Generation) -> None:
        self._generations.setdefault(generation.name, {})[generation.version] = generation

    def _generation(self, name: str, version: str | None) -> Generation:
        versions = self._generations.get(name)
        if not versions:
            raise ModelNotFound(f"no model {quoted(name)} is served here")
        if version is None:
            return next(iter(versions.values()))
        if version not in versions:
            served = ", ".join(self.versions(name)) or "none"
            raise ModelNotFound(f"model {quoted(name)} has no version {quoted(version)}; served: {served}")
        return versions[version]
