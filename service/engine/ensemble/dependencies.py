"""Which models ensembles need, and in which order that has them loaded."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

from service.artifact.config import ModelConfig
from service.engine.generation import Generation
from service.errors import ArtifactError
from service.repository.folder import ModelFolder

Parts: TypeAlias = Callable[[str], Sequence[str]]
"""From a model's name to those of the models that it is made of; none where it isn't an ensemble."""


class Dependencies:
    """Owns which models were loaded for an ensemble's sake alone: nobody has asked for them by their names.

    `served` are the generations of the catalog, `config` reads the configuration that a model has in the repository.
    """

    def __init__(self, served: Iterable[Generation], config: Callable[[str], ModelConfig | None]) -> None:
        self._served = served
        self._config = config
        self._implied: set[str] = set()

    def begin(self, names: Iterable[str]) -> list[str]:
        """These models, which are asked for, and before each what it is made of. Reads the disk."""
        asked = list(names)
        found = composing_first(asked, self._in_repository)
        self._implied = set(found) - set(asked)
        return found

    def missing(self, name: str, served: Collection[str], config: ModelConfig | None = None) -> list[str]:
        """What has to be loaded before this model, in that order, since it isn't among those `served`. Reads the disk.

        `config` takes the place of what the repository has of the model. Raises ArtifactError for an ensemble that is
        made of itself.
        """

        def parts(one: str) -> Sequence[str]:
            return parts_of(config) if config and one == name else self._in_repository(one)

        if path := circle(name, parts):
            raise ArtifactError(in_words(path))
        found = composing_first([name], lambda one: () if one in served and one != name else parts(one))
        return [one for one in found if one != name and one not in served]

    def loaded(self, name: str, *, asked: bool) -> None:
        """A model was loaded because it was `asked` for, or else for an ensemble's sake."""
        if asked:
            self._implied.discard(name)
        else:
            self._implied.add(name)

    def made_of(self, name: str) -> set[str]:
        """The models that a served one is made of."""
        return {part for ensemble, part in self._uses() if ensemble == name}

    def unused(self, parts: Iterable[str]) -> list[str]:
        """Those of `parts` that were loaded for an ensemble's sake alone, and that none needs any more."""
        used = {part for _, part in self._uses()}
        return sorted(self._implied.intersection(parts) - used)

    def _uses(self) -> Iterator[tuple[str, str]]:
        """Every ensemble that is served, and each model that it is made of."""
        for generation in self._served:
            if generation.model:
                yield from ((generation.name, part) for part in parts_of(generation.config))

    def _in_repository(self, name: str) -> Sequence[str]:
        return parts_of(self._config(name))


def parts_of(config: ModelConfig | None) -> Sequence[str]:
    """The models that one with this configuration is made of."""
    return config.ensemble_scheduling.models if config and config.ensemble_scheduling else ()


def in_order(folders: Sequence[ModelFolder]) -> list[ModelFolder]:
    """Models that others are made of first. Those that are made of themselves have that for their problem."""
    known = {folder.name: folder for folder in folders}

    def parts(name: str) -> Sequence[str]:
        return parts_of(known[name].config) if name in known else ()

    ordered = [known[name] for name in composing_first(known, parts) if name in known]
    return [_refused(folder, path) if (path := circle(folder.name, parts)) else folder for folder in ordered]


def composing_first(names: Iterable[str], parts: Parts) -> list[str]:
    """These models and what they are made of, each once, and behind what it is made of, unless that goes in circles."""
    found: dict[str, None] = {}
    begun: set[str] = set()
    left = list(names)[::-1]
    while left:
        name = left[-1]
        new = [part for part in parts(name) if part not in begun] if name not in begun else []
        begun.add(name)
        if new:
            left += new[::-1]
        else:
            found[left.pop()] = None
    return list(found)


def circle(name: str, parts: Parts) -> tuple[str, ...]:
    """The way from a model back to itself; empty if there is none."""
    paths: list[tuple[str, ...]] = [(name,)]
    seen: set[str] = set()
    while paths:
        path = paths.pop()
        for part in parts(path[-1]):
            if part == name:
                return (*path, part)
            if part not in seen:
                seen.add(part)
                paths.append((*path, part))
    return ()


def in_words(path: Sequence[str]) -> str:
    """What is wrong with an ensemble that is made of itself."""
    return f"{path[0]}: an ensemble can't be made of itself: {' -> '.join(path)}"


def _refused(folder: ModelFolder, path: Sequence[str]) -> ModelFolder:
    return replace(folder, versions=(), refused={}, problem=in_words(path))
