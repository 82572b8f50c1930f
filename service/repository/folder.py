"""A model as it lies on disk."""

from dataclasses import dataclass
from pathlib import Path

from service.artifact.card import Card
from service.artifact.config import ModelConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFolder:
    """One version that passed every check: its file, and its card where it has one.

    A version that a remote server computes has no file of its own: `model_path` is the config that names the server.
    `sha256` is the digest that the card gives the model file, empty without a card: whoever loads the file compares.
    """

    version: int
    model_path: Path
    card: Card | None = None
    sha256: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFolder:
    """One model. `versions` are those to be served, newest first; empty exactly when `problem` says why not.

    `config` is None when there is no config.pbtxt (or a broken one, then `problem` says so). `warnings` name what is
    ignored: fields of the config, newer versions that didn't pass the checks.
    """

    name: str
    path: Path
    config: ModelConfig | None = None
    versions: tuple[VersionFolder, ...] = ()
    problem: str | None = None
    warnings: tuple[str, ...] = ()
