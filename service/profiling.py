"""The verb `profile`: measure a model of a repository with every runtime, and write the best into its configuration."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from rich.console import Console

from service.artifact.config import parse_config
from service.artifact.rewriting import with_runtime
from service.engine.device import Devices
from service.engine.runtimes import Outcome, best, compare
from service.engine.source import EngineLimits, ModelSource, source_of
from service.errors import ArtifactError
from service.exit_code import ExitCode
from service.profile_view import as_json, name, show
from service.repository.checks import CONFIG_NAME
from service.repository.folder import ModelFolder
from service.repository.scan import scan
from service.settings import RepositorySettings


class ProfileSettings(RepositorySettings):
    """Measure a model with every runtime that is installed, on this machine: how long do batches of each size take?

    Name the model of the repository first: hone-serve profile MODEL, or a single MODEL.onnx.
    """

    model: str = Field("", description="the model; may be left out where the repository has only one")
    objective: Literal["throughput", "latency"] = Field("throughput", description="what the best is best in")
    max_error: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="largest change of an answer against ONNX Runtime f32, as a share of the largest answer"
    )
    write: bool = Field(False, description="write the best backend and hone.precision into config.pbtxt")
    as_json: bool = Field(False, alias="json", description="print JSON for machines")


def profile(settings: ProfileSettings, console: Console) -> int:
    """Measure, show, and write if asked; the exit code. Raises ArtifactError."""
    folder = _find(settings)
    source = source_of(folder.name, folder.versions[0], folder.config)
    outcomes = asyncio.run(_measure(source, console))
    chosen = best(outcomes, objective=settings.objective, most_error=settings.max_error)
    if settings.as_json:
        sys.stdout.write(json.dumps(as_json(outcomes, chosen), indent=2) + "\n")
    else:
        show(source.name, outcomes, chosen, console)
    if chosen is None:
        return ExitCode.FAILED
    if settings.write:
        _write(folder, chosen)
        console.print(f"wrote {name(chosen)} into {folder.name}/{CONFIG_NAME}")
    return ExitCode.OK


def _find(settings: ProfileSettings) -> ModelFolder:
    folders = scan(settings.model_repository, settings.checks)
    named = [folder for folder in folders if folder.name == settings.model] if settings.model else folders
    if len(named) != 1:
        there = ", ".join(folder.name for folder in folders) or "none"
        raise ArtifactError(
            f'no model "{settings.model}"; there are: {there}' if settings.model else f"name one of {there}"
        )
    if named[0].problem:
        raise ArtifactError(named[0].problem)
    if named[0].config and named[0].config.hone.remote:
        raise ArtifactError(f"{named[0].name}: a remote server computes it, so there is nothing to measure here")
    if named[0].config and named[0].config.ensemble_scheduling:
        raise ArtifactError(f"{named[0].name}: an ensemble computes nothing itself; measure the models of its steps")
    if settings.write and settings.model_repository.is_file():
        raise ArtifactError("a single file has no config.pbtxt to write into; put it into a model repository")
    if settings.write and not os.access(named[0].path, os.W_OK):
        raise ArtifactError(f"{named[0].name}/{CONFIG_NAME} can't be written: the folder is read-only for this user")
    return named[0]


async def _measure(source: ModelSource, console: Console) -> list[Outcome]:
    with console.status(f"measuring {source.name}"):
        return await compare(source, Devices(), EngineLimits())


def _write(folder: ModelFolder, chosen: Outcome) -> None:
    path: Path = folder.path / CONFIG_NAME
    before = path.read_text(encoding="utf-8") if path.exists() else _batching(chosen)
    text = with_runtime(before, backend=chosen.backend, precision=chosen.precision)
    parse_config(text, name=folder.name)
    scratch = path.with_name(f".{CONFIG_NAME}.new")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise ArtifactError(f"{folder.name}/{CONFIG_NAME} can't be written: {error.strerror}") from error


def _batching(chosen: Outcome) -> str:
    """How requests are joined where no configuration says it: once there is one, it has to be written there."""
    config = chosen.config
    if config is None or config.dynamic_batching is None:
        return ""
    return f"max_batch_size: {config.max_batch_size}\ndynamic_batching {{ }}\n"
