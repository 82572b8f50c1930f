"""Which models of the repository are to be served: all of them, those that are there now, or those asked for."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, TypeAlias

import structlog

from service.artifact.config import ModelConfig, parse_json_config
from service.artifact.names import is_model_name
from service.engine.catalog import Catalog
from service.engine.ensemble.dependencies import Dependencies, in_order, parts_of
from service.engine.servable import Servable
from service.errors import ArtifactError, Draining, InvalidRequest, ModelNotFound
from service.metadata import IndexEntry
from service.quoting import quoted
from service.repository.folder import ModelFolder
from service.repository.override import Override
from service.repository.reason import not_there
from service.repository.watch import Watch

ControlMode: TypeAlias = Literal["none", "poll", "explicit"]
LookAgain: TypeAlias = Callable[[Mapping[int, str], Collection[int]], ModelFolder | None]
"""From versions that turned out to be no good, with the reasons, and those that serve, to the folder without them."""

ALL = "*"
"""Stands for every model among those to load at the start."""
_log = structlog.get_logger()


class ModelControl:
    """Owns the decision what is served, and carries out one change of a model after the other.

    Mode `none` serves what is in the repository at the start. `poll` looks every `poll_seconds` and follows it.
    `explicit` serves `names` at the start, and then what `load` and `unload` say. The disk is read in threads. `review`
    says what of a configuration has no effect on this machine.
    """

    def __init__(
        self,
        catalog: Catalog,
        watch: Watch,
        *,
        mode: ControlMode = "none",
        names: Sequence[str] = (),
        poll_seconds: float = 15.0,
        review: Callable[[ModelConfig | None], Sequence[str]] = lambda _: (),
    ) -> None:
        self._catalog = catalog
        self._watch = watch
        self._mode = mode
        self._names = names
        self._poll_seconds = poll_seconds
        self._review = review
        self._dependencies = Dependencies(catalog, watch.config)
        self._first: list[ModelFolder] = []
        self._changes: dict[str, asyncio.Task[None]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._overridden: set[str] = set()
        self._stopped = False

    @property
    def may_be_empty(self) -> bool:
        """Whether it makes sense to run without any model: they may still come."""
        return self._mode == "poll" or (self._mode == "explicit" and not self._names)

    async def survey(self) -> None:
        """Look at what is to be served at the start. Raises ArtifactError when there is no repository."""
        names = await asyncio.to_thread(self._watch.names)
        if not names:
            _log.warning("no model folder in the repository")
        if self._mode == "explicit" and ALL not in self._names:
            names = await asyncio.to_thread(self._dependencies.begin, self._names)
        self._first = await asyncio.to_thread(self._watch.take, names, {})

    async def start(self) -> None:
        """Load what `survey` found, ensembles when all that they are made of is through; what fails is listed with its
        reason and doesn't stop the others.
        """
        first, self._first = self._first, []
        following: dict[str, asyncio.Task[None]] = {}
        for folder in in_order(first):
            before = [following[name] for name in parts_of(folder.config) if name in following]
            following[folder.name] = asyncio.ensure_future(self._follow_after(before, folder))
        await asyncio.gather(*following.values())
        if self._mode == "poll":
            self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def load(self, name: str, override: Override | None = None) -> None:
        """Serve a model as it is in the repository now; one that is served and hasn't changed stays as it is.

        An `override` is served in its place, until the model is loaded again or unloaded. An ensemble takes along what
        it is made of and isn't served. Raises ModelNotFound, InvalidRequest for an override that can't be understood,
        or ArtifactError with what is wrong: then whatever served the model before goes on.
        """
        self.check_explicit()
        config = await asyncio.to_thread(_config_of, name, override) if override else None
        self.check_explicit()  # it may be too late by now
        for part in await asyncio.to_thread(self._dependencies.missing, name, self._catalog.serving(), config):
            try:
                await self._finished(self._change(part, partial(self._load, part, None, {})))
            except (ArtifactError, ModelNotFound) as error:
                raise ArtifactError(f'{name} needs model "{part}": {error}') from error
            self._dependencies.loaded(part, asked=False)
        self._dependencies.loaded(name, asked=True)
        await self._finished(self._change(name, lambda: self._load(name, config, override.files if override else {})))

    async def unload(self, name: str, *, dependents: bool = False) -> None:
        """Serve a model no longer; returns when what it had admitted is answered. Nothing happens to an unknown one.

        With `dependents` so go the models that it is made of: those that were loaded for its sake, and that no other
        ensemble needs.
        """
        self.check_explicit()
        parts = self._dependencies.made_of(name)
        leaving: list[asyncio.Task[None]] = []

        async def unload() -> None:
            overridden = name in self._overridden  # the index tells of the repository then
            self._overridden.discard(name)
            leaving.extend(self._catalog.unload(name, forget=overridden))

        await self._finished(self._change(name, unload))
        if leaving:
            await asyncio.wait(leaving)
        for part in self._dependencies.unused(parts) if dependents else ():
            await self.unload(part, dependents=True)

    async def index(self) -> list[IndexEntry]:
        """Every model and version with its state; those that could be loaded explicitly by their name alone."""
        names: list[str] = []
        if self._mode == "explicit":
            with contextlib.suppress(ArtifactError):  # what is served can be said without the repository
                names = await asyncio.to_thread(self._watch.names)
        entries = self._catalog.index()
        others = set(names) - {entry.name for entry in entries}
        return entries + [IndexEntry(name=name, version="", state="", reason="") for name in sorted(others)]

    async def stop(self) -> None:
        """Change nothing any more; loads that are under way are given up."""
        self._stopped = True
        tasks = [*self._changes.values(), *([self._polling] if self._polling else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- one change after the other

    def _change(
        self, name: str, act: Callable[[], Awaitable[None]], *, parts: Sequence[str] = ()
    ) -> asyncio.Task[None]:
        """Change a model when all earlier changes of it, and of the `parts` that it is made of, are through."""
        before = [self._changes[one] for one in (name, *parts) if one in self._changes]

        async def in_turn() -> None:
            if before:
                await asyncio.wait(before)
            await act()

        task = self._changes[name] = asyncio.get_running_loop().create_task(in_turn())
        task.add_done_callback(partial(self._changed, name))
        return task

    def _changed(self, name: str, task: asyncio.Task[None]) -> None:
        if self._changes.get(name) is task:
            del self._changes[name]
        if not task.cancelled():
            task.exception()  # whoever waited for it may have gone

    async def _finished(self, change: asyncio.Task[None]) -> None:
        """Wait for a change that goes on even if nobody waits. Raises what it raises."""
        await asyncio.wait({change})
        if change.cancelled():
            raise Draining("the server is stopping")
        change.result()

    def check_explicit(self) -> None:
        """Raises InvalidRequest unless models are loaded and unloaded by request, Draining when it is too late."""
        if self._mode != "explicit":
            raise InvalidRequest(
                "explicit model load / unload is not allowed: the server was started with"
                f" --model-control-mode {self._mode}, it takes --model-control-mode explicit"
            )
        if self._stopped:
            raise Draining("the server is stopping")

    # -- what the repository has

    async def _load(self, name: str, config: ModelConfig | None, files: Mapping[str, bytes]) -> None:
        if config and files:
            sent = await asyncio.to_thread(self._watch.sent, name, config, files)
            self._overridden.add(name)
            try:
                await self._bring(await asyncio.to_thread(sent.take), sent.again)
            finally:
                await asyncio.to_thread(sent.close)
            return
        if name not in await asyncio.to_thread(self._watch.names):
            raise ModelNotFound(not_there(name))
        if config:
            self._overridden.add(name)
        (folder,) = await asyncio.to_thread(self._watch.take, [name], self._catalog.serving(), config)
        await self._bring(folder)
        if config is None:
            self._overridden.discard(name)

    async def _bring(self, folder: ModelFolder, look_again: LookAgain | None = None) -> None:
        """Serve what is in a folder, as it was asked for. Raises ArtifactError when not all of it can be."""
        name = folder.name
        before = self._generations(name)
        last = await self._follow(folder, look_again)
        problems = list(last.refused.values()) or ([last.problem] if last.problem else [])
        if problems:
            serving = _what_serves(before, self._generations(name))
            raise ArtifactError("; ".join([*dict.fromkeys(problems), *serving]))

    def _generations(self, name: str) -> dict[str, Servable]:
        """What answers for each version of a model that is served."""
        return {version: self._catalog.find(name, version) for version in self._catalog.versions(name)}

    async def _follow(self, folder: ModelFolder, look_again: LookAgain | None = None) -> ModelFolder:
        """Serve what is in a folder; the folder as it was in the end, without versions that couldn't be loaded."""
        look_again = look_again or partial(self._watch.again, folder.name)
        for warning in (*folder.warnings, *self._review(folder.config)):
            _log.warning("ignored", model=folder.name, text=warning)
        while failed := await self._catalog.bring(folder):
            serving = self._catalog.serving().get(folder.name, set())
            found = await asyncio.to_thread(look_again, failed, serving)
            if found is None:  # it has changed again: what is there now is another matter
                return replace(folder, refused={**folder.refused, **failed})
            folder = found
        return folder

    async def _follow_after(self, before: Sequence[asyncio.Task[None]], folder: ModelFolder) -> None:
        if before:
            await asyncio.wait(before)
        await self._follow(folder)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self._look()
            except ArtifactError as error:
                _log.error("the repository can't be seen, everything goes on as it is", reason=str(error))
            except Exception:
                _log.exception("can't look at the repository")

    async def _look(self) -> None:
        found = await asyncio.to_thread(self._watch.look, self._catalog.serving(), frozenset(self._changes))
        for folder in in_order(found.folders):
            self._change(folder.name, partial(self._followed, folder), parts=parts_of(folder.config))
        for name in found.gone:
            self._catalog.unload(name, forget=True)

    async def _followed(self, folder: ModelFolder) -> None:
        try:
            last = await self._follow(folder)
            serves = bool(self._catalog.versions(folder.name))
            if last.refused and folder.config and folder.config.is_all and (serves or parts_of(folder.config)):
                # What the remote server lacks may be there at the next look, and models of an ensemble may fit then.
                await asyncio.to_thread(self._watch.reconsider, folder.name)
        except Exception:
            _log.exception("can't follow the repository", model=folder.name)


def _config_of(name: str, override: Override) -> ModelConfig:
    """The configuration that an override has for a model. Raises InvalidRequest."""
    source = 'parameter "config"'
    if not is_model_name(name):
        raise InvalidRequest(f"{quoted(name)} can't name a model")
    try:
        config = parse_json_config(override.config, name=name, source=source)
    except ArtifactError as error:
        raise InvalidRequest(str(error)) from error
    if config.ensemble_scheduling and override.files:
        raise InvalidRequest(f"{source}: ensemble_scheduling: other models compute it, so no files can be sent along")
    if config.hone.remote and override.files:
        raise InvalidRequest(f"{source}: hone.remote: another server computes, so no files can be sent along")
    return config


def _what_serves(before: Mapping[str, Servable], now: Mapping[str, Servable]) -> list[str]:
    """After a load that wasn't all that was asked for: which versions it brought, and which were there already."""
    stayed = [version for version, model in now.items() if before.get(version) is model]
    loaded = [version for version in now if version not in stayed]
    said = []
    if loaded:
        were = "was" if len(loaded) == 1 else "were"
        said.append(f"{_named(loaded)} {were} loaded{'' if stayed else ' instead'}")
    if stayed:
        said.append(f"{_named(stayed)} {'goes' if len(stayed) == 1 else 'go'} on serving")
    return said


def _named(versions: Sequence[str]) -> str:
    return f"version{'' if len(versions) == 1 else 's'} {', '.join(versions)}"
