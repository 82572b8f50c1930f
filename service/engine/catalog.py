"""Which models are served, in which versions, and why the others aren't."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import structlog

from service.artifact.config import ModelConfig
from service.engine.departures import GRACE, Departures
from service.engine.generation import LOADING, UNAVAILABLE, UNLOADED, UNLOADING, Generation
from service.engine.servable import Servable
from service.engine.source import ModelSource, source_of
from service.engine.succession import Succession
from service.errors import ArtifactError, HoneError, ModelNotFound, NotReady
from service.messages import InferRequest
from service.metadata import IndexEntry
from service.metrics import Metrics, ModelMetrics
from service.quoting import quoted
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.glimpse import mark_of
from service.repository.reason import reason_for

_log = structlog.get_logger()


class Catalog:
    """Owns every generation, and which of them answers for a name when a client asks for no version: the newest.

    A generation takes the place of another between two requests: whoever asks before is answered by the one, whoever
    asks after by the other, and the one ends when it has answered. Sequences go on where they began. `make` makes a
    generation that isn't loaded yet, of which `at_once` may be loading at a time.
    """

    def __init__(
        self,
        make: Callable[[ModelSource, ModelMetrics], Servable],
        metrics: Metrics,
        *,
        at_once: int = 1,
        drain_seconds: float = 30.0,
        grace: float = GRACE,
    ) -> None:
        self._make = make
        self._metrics = metrics
        self._gate = asyncio.Semaphore(at_once)
        self._departures = Departures(drain_seconds, grace=grace, lingered=self._choose)
        self._generations: dict[str, dict[str, Generation]] = {}
        self._default: dict[str, Servable] = {}  # where no succession matters
        self._successions: dict[str, Succession] = {}

    # -- what is asked

    def route(self, request: InferRequest) -> Servable:
        """Who computes a request: the generation that has its sequence, else the served model. Raises as `find`."""
        name, version = request.model, request.version
        if version is None:
            model = self._default.get(name)
            if model is not None:
                return model
        if self._successions and (succession := self._successions.get(name)) and (holder := succession.holder(request)):
            return holder
        return self.find(name, version)

    def find(self, name: str, version: str | None) -> Servable:
        """The served model. Raises ModelNotFound, or NotReady for one that is listed but can't answer."""
        if version is None:
            model = self._default.get(name)
            if model is not None:
                return model
        generation = self._generation(name, version)
        if generation.model is not None:
            return generation.model
        if generation.state == UNLOADING or generation.reason == UNLOADED:
            if version is not None and self.versions(name):  # replaced: whether it still answers makes no difference
                raise self._no_version(name, version)
            raise ModelNotFound(f'model "{name}" was unloaded')
        subject = f'model "{name}"' if version is None else f'version "{version}" of model "{name}"'
        if generation.state == LOADING:
            raise NotReady(f"{subject} is still loading")
        raise NotReady(f"{subject} could not be loaded; the repository index says why")

    def versions(self, name: str) -> tuple[str, ...]:
        """The versions of a model that are served, oldest first."""
        generations = self._generations.get(name, {}).values()
        return tuple(sorted((found.version for found in generations if found.model), key=int))

    def serving(self) -> dict[str, set[int]]:
        """The versions that are served, for each model that has any."""
        return {name: set(map(int, found)) for name in self._generations if (found := self.versions(name))}

    def models(self) -> Iterator[Servable]:
        """Every generation that answers."""
        for generation in self:
            if generation.model:
                yield generation.model

    def departing(self) -> Iterator[Servable]:
        """Every generation that may still have to answer though none is asked for."""
        return iter(self._departures)

    def computing(self) -> Iterator[Servable]:
        """Those of them that don't leave it all to other models of this server."""
        for generation in self:
            if generation.model and not (generation.config and generation.config.ensemble_scheduling):
                yield generation.model

    def index(self) -> list[IndexEntry]:
        """Every generation with its state, as the repository index lists it."""
        return [found.entry() for found in self]

    def __iter__(self) -> Iterator[Generation]:
        for versions in self._generations.values():
            yield from versions.values()

    # -- what changes

    async def bring(self, folder: ModelFolder) -> dict[int, str]:
        """Serve what is in the folder; the versions that couldn't be loaded, with the reasons.

        What is to be replaced serves until the new generation is ready: one that waits for its remote server takes
        nothing over from one that can answer. A version that the folder has no longer is let go once all others are
        loaded; while any can't be, nothing is let go, and the folder is to be looked at again without them. Where none
        is left then, all that answers goes on: only a folder without any version takes the last ones along.
        """
        self._list_refusals(folder)
        serves = any(model.ready for model in self._models(folder.name))
        loads = [self._load(folder.name, version, folder.config, serves=serves) for version in folder.versions]
        reasons = await asyncio.gather(*loads)
        failed = {version.version: reason for version, reason in zip(folder.versions, reasons, strict=True) if reason}
        if not failed:
            self._let_go_of_others(folder)
        return failed

    def unload(self, name: str, *, forget: bool) -> list[asyncio.Task[None]]:
        """Take no more requests for the model; a task for each generation that still has to answer. Sequences end.

        The index goes on to list it as unloaded, unless it is to `forget` it.
        """
        for found in list(self._generations.get(name, {}).values()):
            self._let_go(found, forget=forget, lingers=False)
        return self._departures.hurry(name)

    async def stop(self) -> None:
        """End all workers."""
        await asyncio.gather(self._departures.stop(), *(model.stop() for model in self.models()))

    # -- one generation

    async def _load(self, name: str, files: VersionFolder, config: ModelConfig | None, *, serves: bool) -> str:
        """Load a generation beside those that serve, if any do, and put it in its place; the reason if that fails."""
        version = str(files.version)
        generation = self._generations.get(name, {}).get(version)
        if generation and generation.is_made_of(files, config):
            generation.reason = ""
            return ""
        if generation is None or generation.model is None:
            generation = self._put(Generation(name=name, version=version, state=LOADING))
        numbers = self._metrics.begin(name, version)
        try:
            async with self._gate:
                model = await self._loaded(source_of(name, files, config), files, numbers, serves=serves)
        except Exception as error:
            return self._refuse(generation, numbers, error)
        old = generation.answer(model, files, config)
        if old:
            self._departures.add(old, partial(self._metrics.end, name, version, old.metrics), lingers=True)
        self._choose(name)
        _log.info("serving", model=name, version=version)
        return ""

    async def _loaded(
        self, source: ModelSource, files: VersionFolder, numbers: ModelMetrics, *, serves: bool
    ) -> Servable:
        """A new generation. What no card vouches for must still be there as it was seen, and while another generation
        `serves`, the remote server of a new one must answer, or all models of an ensemble; a worker that has just ended
        comes back by itself.
        """
        model = self._make(source, numbers)
        await model.load()
        try:
            if files.card is None and files.folder and await asyncio.to_thread(mark_of, files.folder) != files.mark:
                raise ArtifactError(f"{source.name}/{files.version}: changed while it was loaded")
            if serves and source.config and source.config.is_all and not model.ready:
                raise NotReady(f"can't take over yet: {model.problem}")
        except BaseException:
            await model.stop()
            raise
        return model

    def _refuse(self, generation: Generation, numbers: ModelMetrics, error: Exception) -> str:
        """List a generation that couldn't be loaded; one that serves already goes on."""
        name, version = generation.name, generation.version
        reason = str(error)
        if not isinstance(error, HoneError):  # a fault of ours in loading one model must not end the others
            _log.error("can't load", model=name, version=version, exc_info=error)
            reason = "internal error while loading; the log has the trace"
        reason = reason_for(name, version, reason)
        if generation.model:
            self._metrics.end(name, version, numbers)
        else:
            generation.numbers = numbers
        generation.give_reason(reason)
        return reason

    def _let_go(self, generation: Generation, *, forget: bool, lingers: bool) -> None:
        """Take a generation's requests away; it ends when it has answered those it had, and `lingers` before."""
        name, version, model = generation.name, generation.version, generation.model
        if model is None:
            if forget and generation.state != UNLOADING:
                self._drop(generation)
            return
        generation.model, generation.state, generation.reason = None, UNLOADING, ""

        def gone() -> None:
            self._metrics.end(name, version, model.metrics)
            generation.state, generation.reason = UNAVAILABLE, UNLOADED
            if forget:
                self._drop(generation)

        self._departures.add(model, gone, lingers=lingers)
        self._choose(name)

    # -- the list

    def _models(self, name: str) -> list[Servable]:
        return [found.model for found in self._generations.get(name, {}).values() if found.model]

    def _list_refusals(self, folder: ModelFolder) -> None:
        """Say of each version what is wrong with it, or of all that are served what is wrong with the model."""
        refused = {str(version): reason for version, reason in folder.refused.items()}
        if folder.problem and not refused:
            refused = dict.fromkeys(self.versions(folder.name) or ("",), folder.problem)
        for version, reason in refused.items():
            generation = self._generations.get(folder.name, {}).get(version)
            if generation is None or generation.state == UNLOADING:
                generation = self._put(Generation(name=folder.name, version=version, state=UNAVAILABLE))
                generation.numbers = self._metrics.begin(folder.name, version)  # who watches sees that it isn't ready
            generation.give_reason(reason)

    def _let_go_of_others(self, folder: ModelFolder) -> None:
        """Let go of what the folder has no longer; versions that it can't replace stay as they are, and all that
        answer where it has nothing sound to replace any of them.
        """
        stays = {str(version) for version in folder.stays}
        if folder.present and not folder.versions:
            stays.update(self.versions(folder.name))
        if folder.problem and not folder.refused and not self.versions(folder.name):
            stays.add("")  # the line that says what is wrong with the model
        goes_on = not stays.isdisjoint(self.versions(folder.name))
        for generation in list(self._generations.get(folder.name, {}).values()):
            if generation.version not in stays:
                self._let_go(generation, forget=True, lingers=goes_on)
        if not goes_on:
            self._departures.hurry(folder.name)

    def _put(self, generation: Generation) -> Generation:
        """List a generation in the place of another that has no model."""
        versions = self._generations.setdefault(generation.name, {})
        if generation.version in versions:
            self._drop(versions[generation.version])
        self._generations.setdefault(generation.name, {})[generation.version] = generation
        return generation

    def _drop(self, generation: Generation) -> None:
        """List it no longer, unless another has taken its place already."""
        versions = self._generations.get(generation.name, {})
        if versions.get(generation.version) is not generation:
            return
        del versions[generation.version]
        if not versions:
            del self._generations[generation.name]
        if generation.numbers:
            self._metrics.end(generation.name, generation.version, generation.numbers)

    def _choose(self, name: str) -> None:
        """The newest version that is served answers for the name, but for sequences that are at another one."""
        self._default.pop(name, None)
        self._successions.pop(name, None)
        serving = [self.find(name, version) for version in self.versions(name)]
        succession = Succession(serving, self._departures.lingering(name))
        if succession.matters:
            self._successions[name] = succession
        elif serving:
            self._default[name] = serving[-1]

    def _generation(self, name: str, version: str | None) -> Generation:
        versions = self._generations.get(name)
        if not versions:
            raise ModelNotFound(f"Request for unknown model: {quoted(name)} isn't served here")  # Triton's beginning
        if version is None:
            return versions[served[-1]] if (served := self.versions(name)) else next(iter(versions.values()))
        if version not in versions:
            raise self._no_version(name, version)
        return versions[version]

    def _no_version(self, name: str, version: str) -> ModelNotFound:
        served = ", ".join(self.versions(name)) or "none"
        return ModelNotFound(f"model {quoted(name)} has no version {quoted(version)}; served: {served}")
