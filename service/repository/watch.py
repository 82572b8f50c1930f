"""What changed in a repository since the last look."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from service.artifact.config import ModelConfig, read_config
from service.artifact.names import resolve_under
from service.errors import ArtifactError
from service.repository.checks import CONFIG_NAME, Checks
from service.repository.folder import ModelFolder
from service.repository.glimpse import Glimpse, glimpse
from service.repository.inspection import Inspection
from service.repository.override import SentFolder
from service.repository.scan import model_names, scan_file

CALM = 1.0
"""Seconds for which nothing may have been written to a model that is to be taken at the first look."""
MOMENTS = 5
"""How many times CALM such a model is waited for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What a look found: models that are new or different, and names of models that are gone."""

    folders: Sequence[ModelFolder]
    gone: Sequence[str]


@dataclass(slots=True)
class _Known:
    """What is known of one model: as it was at the last look, and what of it was handed out.

    `waiting` are the versions that were left out because they were still being written. `remote` are those that another
    server or other models compute, those handed out and those that serve until these can: no folder can be missing.
    `config` takes the place of the folder's own, if a client sent one along when the model was taken last.
    """

    inspection: Inspection
    seen: Glimpse | None = None
    taken: Glimpse | None = None
    waiting: Collection[int] = ()
    remote: frozenset[int] = frozenset()
    config: ModelConfig | None = None


class Watch:
    """Owns what a repository looked like at the last look, so that only what changed is read again.

    What may still be being written isn't taken: a version must be the same at two looks one after the other (names,
    sizes and times of its files), unless its card vouches for them with their digests; a config, for which nothing
    vouches, always. What is missing must be missing at two looks, since publishing moves a folder out of the way first.

    Every method reads the disk, and is meant for a thread; two may run at once if they are about different models.
    """

    def __init__(
        self, root: Path, checks: Checks, *, calm: float = CALM, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._root = root
        self._checks = checks
        self._calm = calm
        self._pause = pause
        self._known: dict[str, _Known] = {}

    def names(self) -> list[str]:
        """Every model in the repository. Raises ArtifactError when it can't be listed."""
        return [self._root.stem] if self._root.is_file() else model_names(self._root)

    def config(self, name: str) -> ModelConfig | None:
        """The configuration that a model has there now; None where there is none, or none that can be read."""
        if self._root.is_file():
            return None
        try:
            return read_config(resolve_under(self._root, name, CONFIG_NAME), name=name)
        except ArtifactError:
            return None

    def take(
        self, names: Iterable[str], serving: Mapping[str, Collection[int]], config: ModelConfig | None = None
    ) -> list[ModelFolder]:
        """These models now, or as soon as nothing has been written to them for a moment; under `config` in place of
        their own, if one is given, until they are taken again.

        One that doesn't calm down is taken without the versions that it concerns, or not at all. What serves counts as
        present, also where its folder has gone: to take it away is not what was asked for.
        """
        if self._root.is_file():
            return [scan_file(self._root, self._checks)]
        before: dict[str, Glimpse] = {}
        now = {name: glimpse(self._root / name) for name in names}
        for _ in range(MOMENTS):
            if all(seen.calm >= self._calm or seen == before.get(name) for name, seen in now.items()):
                break
            self._pause(self._calm)
            before, now = now, {name: glimpse(self._root / name) for name in now}
        for name in now:
            self._of(name).config = config
        return [
            self._take(name, seen, seen if seen.calm >= self._calm else before.get(name, seen), serving.get(name, ()))
            for name, seen in now.items()
        ]

    def sent(self, name: str, config: ModelConfig, files: Mapping[str, bytes]) -> SentFolder:
        """A folder of its own for a model that a client sent along. Raises ArtifactError when it can't be written."""
        return SentFolder(name, config, files, self._checks)

    def look(self, serving: Mapping[str, Collection[int]], busy: Collection[str] = ()) -> Changes:
        """What changed since the last look, `busy` models left out. Raises ArtifactError when nothing can be seen.

        `serving` has the versions of each model of which a generation serves, see `scan_model`.
        """
        names = [name for name in self.names() if name not in busy]
        folders = [folder for name in names if (folder := self._look(name, serving.get(name, ())))]
        return Changes(folders=folders, gone=self._missing(self._known.keys() - set(names) - set(busy)))

    def again(self, name: str, refused: Mapping[int, str], serving: Collection[int]) -> ModelFolder | None:
        """The model as it was taken last, without versions that turned out to be no good, for the reasons given.

        None when it has changed since: then the next look will tell.
        """
        known = self._of(name)
        now, taken = glimpse(self._root / name), known.taken
        if taken is None or taken.own != now.own:
            known.taken = None
            return None
        for version, reason in refused.items():
            known.inspection.refuse(taken, version, reason)
        return self._scan(known, now, _same(now, taken), serving)

    def reconsider(self, name: str) -> None:
        """What was refused of this model may be sound by now, though its files are the same: it is news once more."""
        known = self._of(name)
        known.inspection.forget()
        known.taken = None

    # -- one model

    def _of(self, name: str) -> _Known:
        if name not in self._known:
            self._known[name] = _Known(Inspection(self._root, name, self._checks))
        return self._known[name]

    def _take(self, name: str, now: Glimpse, before: Glimpse, serving: Collection[int]) -> ModelFolder:
        known = self._of(name)
        known.seen = now
        known.inspection.forget()
        folder = self._scan(known, now, _same(now, before), serving) if now.own == before.own else None
        if folder is None or (folder.waiting and not folder.versions):
            problem = f"{name}: its files are still being written"
            folder = ModelFolder(name=name, path=self._root / name, problem=problem, present=frozenset(now.versions))
        return replace(folder, present=folder.present.union(serving))

    def _look(self, name: str, serving: Collection[int]) -> ModelFolder | None:
        known = self._of(name)
        now, before, taken = glimpse(self._root / name), known.seen, known.taken
        known.seen = now
        is_news = now != taken or known.waiting  # those have gone again if the rest is the same
        if before is None or now.own != before.own or not is_news:
            return None
        missing = set(serving) - now.versions.keys() - known.remote
        if missing & before.versions.keys():
            return None
        settled = _same(now, before) | (_same(now, taken) if taken else set())
        folder = self._scan(known, now, settled, serving)
        if folder and folder.waiting and not folder.versions:
            known.taken = taken
            return None
        return folder

    def _scan(
        self, known: _Known, now: Glimpse, settled: Collection[int], serving: Collection[int]
    ) -> ModelFolder | None:
        folder = known.inspection.scan(now, settled, serving, known.config)
        if folder is None:
            known.taken = None
            return None
        complete = {version: mark for version, mark in now.versions.items() if version not in folder.waiting}
        known.taken, known.waiting = replace(now, versions=complete), folder.waiting
        if folder.versions:
            remote = frozenset(version.version for version in folder.versions if version.folder is None)
            known.remote = remote | known.remote.intersection(serving) if remote else remote
        return folder

    def _missing(self, names: Collection[str]) -> list[str]:
        """Those of `names` that weren't there at the last look either."""
        gone = [name for name in names if self._known[name].seen is None]
        for name in names:
            self._known[name].seen = None
        for name in gone:
            del self._known[name]
        return gone


def _same(now: Glimpse, then: Glimpse) -> set[int]:
    """The versions that look the same in both."""
    return {version for version, mark in now.versions.items() if mark == then.versions.get(version)}
