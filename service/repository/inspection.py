"""Checking the versions of one model, and each of them once only."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from service.artifact.config import ModelConfig
from service.errors import ArtifactError
from service.repository.checks import Checks
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.glimpse import Glimpse, Mark, glimpse
from service.repository.scan import scan_model


@dataclass(frozen=True, kw_only=True, slots=True)
class _Verdict:
    """What came of checking a version, and what the model's own files and the version's looked like then.

    `mark` is empty where there is no folder, as for a version that has no file but the config.
    """

    own: Mark
    mark: Mark
    found: VersionFolder | str


class Inspection:
    """Owns the verdicts on one model's versions: as long as stat says the same, no file is read again."""

    def __init__(self, root: Path, name: str, checks: Checks) -> None:
        self._root = root
        self._name = name
        self._checks = checks
        self._verdicts: dict[int, _Verdict] = {}

    def refuse(self, seen: Glimpse, version: int, reason: str) -> None:
        """This version, as it was seen, turned out to be no good."""
        mark = seen.versions.get(version, ())
        self._verdicts[version] = _Verdict(own=seen.own, mark=mark, found=reason)

    def forget(self) -> None:
        """Check everything anew from now on."""
        self._verdicts.clear()

    def scan(
        self, now: Glimpse, settled: Collection[int], serving: Collection[int], config: ModelConfig | None = None
    ) -> ModelFolder | None:
        """The model as it was seen `now`, under `config` where one is given; None when it changed meanwhile.

        Versions that aren't `settled` may still be being copied: they need a card that vouches for their files, and are
        in `waiting` otherwise, not in `refused`.
        """
        waiting: set[int] = set()

        def check(_root: Path, _name: str, version: int, config: ModelConfig | None) -> VersionFolder:
            if config and config.is_all:
                return self._check(now, version, now.versions.get(version, ()), config)
            if version not in settled:
                waiting.add(version)
            mark = now.versions.get(version)
            if mark is None:
                raise ArtifactError(f"{self._name}/{version}: has only just appeared")
            found = self._check(now, version, mark, config)
            if version in waiting and found.card is None:
                raise ArtifactError(f"{self._name}/{version}: may still be being copied, since no card vouches for it")
            waiting.discard(version)
            return found

        folder = scan_model(self._root, self._name, check, serving, config)
        after = glimpse(self._root / self._name)
        if after.own != now.own or after.versions.keys() != now.versions.keys():
            return None
        gone = {version for version, verdict in self._verdicts.items() if verdict.mark and version not in now.versions}
        for version in waiting | gone:
            self._verdicts.pop(version, None)
        refused = {version: reason for version, reason in folder.refused.items() if version not in waiting}
        return replace(folder, refused=refused, waiting=frozenset(waiting))

    def _check(self, now: Glimpse, version: int, mark: Mark, config: ModelConfig | None) -> VersionFolder:
        verdict = self._verdicts.get(version)
        if verdict is None or (verdict.own, verdict.mark) != (now.own, mark):
            verdict = _Verdict(own=now.own, mark=mark, found=self._read(version, mark, config))
            self._verdicts[version] = verdict
        if isinstance(verdict.found, str):
            raise ArtifactError(verdict.found)
        return verdict.found

    def _read(self, version: int, mark: Mark, config: ModelConfig | None) -> VersionFolder | str:
        try:
            found = self._checks.check(self._root, self._name, version, config)
        except ArtifactError as error:
            return str(error)
        if config and config.is_all:
            return found
        return replace(found, mark=mark)
