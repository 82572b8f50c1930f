"""A model as it lies on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.artifact.card import Card
from service.artifact.config import ModelConfig
from service.artifact.cpu import cpu_flags, missing_instructions
from service.repository.glimpse import Mark


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFolder:
    """One version that passed every check: its file, and its card where it has one.

    A version that a remote server computes, or that is made of other models, has no file of its own: `model_path` is
    the config that says so.
    `sha256` is the digest that the card gives the model file, empty without a card: whoever loads the file compares.
    `folder` is where it lies, None for a model file by itself and for a version without a file; `mark` is what stat
    said of it before it was read, None where nobody looked.
    """

    version: int
    model_path: Path
    card: Card | None = None
    sha256: str = ""
    folder: Path | None = None
    mark: Mark | None = None

    @property
    def missing_instructions(self) -> tuple[str, ...]:
        """Instruction sets that the figures of the card were taken with, and this CPU lacks."""
        return missing_instructions(self.card.machine, cpu_flags()) if self.card else ()

    @property
    def warning(self) -> str:
        """The same in words; empty where it lacks nothing."""
        missing = ", ".join(self.missing_instructions)
        return f"the CPU that it was validated on has {missing}, this one hasn't" if missing else ""

    def same_files(self, other: "VersionFolder") -> bool:
        """Whether both are the same bytes, as far as can be told without reading them: cards agree, or stat does."""
        if self.model_path != other.model_path:
            return False
        return self.card == other.card if self.card else self.mark == other.mark


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """One model. `versions` are those to be served, newest first; empty exactly when `problem` says why not.

    `config` is None when there is no config.pbtxt (or a broken one, then `problem` says so). `warnings` name the fields
    of the config that are ignored, `refused` says for each version that the policy would serve what is wrong with it.
    `present` has every version on disk, or those that a remote server is asked for; `waiting` has those that may still
    be being copied.
    """

    name: str
    path: Path
    config: ModelConfig | None = None
    versions: tuple[VersionFolder, ...] = ()
    problem: str | None = None
    warnings: tuple[str, ...] = ()
    refused: Mapping[int, str] = field(default_factory=dict)
    present: frozenset[int] = frozenset()
    waiting: frozenset[int] = frozenset()

    @property
    def stays(self) -> frozenset[int]:
        """Versions that are not to be let go: those to be served, and those that it has nothing sound in place of."""
        kept = self.waiting.union((version.version for version in self.versions), self.refused)
        return kept | self.present if self.problem else kept
