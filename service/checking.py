"""The verb `check`: what of a model repository would be served, and what is wrong with the rest?"""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field
from rich.console import Console
from rich.table import Table

from service.engine.rehearsal import problem_of
from service.engine.source import EngineLimits, source_of
from service.errors import ArtifactError
from service.exit_code import ExitCode
from service.repository.checks import Checks
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.watch import Watch
from service.settings import RepositorySettings


class CheckSettings(RepositorySettings):
    """Say what of a model repository would be served, and what is wrong.

    Every version is loaded by a worker and compared with its config and golden samples; remote servers aren't asked.
    """

    as_json: bool = Field(False, alias="json", description="print JSON for machines")


def check(settings: CheckSettings) -> int:
    """Look, load, and print; the exit code. Raises ArtifactError when there is no repository."""
    checks = Checks(max_model_bytes=settings.max_model_bytes, require_card=settings.require_card)
    watch = Watch(settings.model_repository, checks, calm=0.0)
    folders = asyncio.run(_rehearse(watch, watch.take(watch.names(), {})))
    rows: list[dict[str, object]] = [
        {
            "model": folder.name,
            "versions": [version.version for version in folder.versions],
            "problem": folder.problem,
            "warnings": [*folder.warnings, *folder.refused.values()] if folder.versions else list(folder.warnings),
        }
        for folder in folders
    ]
    if settings.as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        _print_table(rows)
    return ExitCode.WRONG_SETTING if any(row["problem"] for row in rows) or not rows else ExitCode.OK


async def _rehearse(watch: Watch, folders: Sequence[ModelFolder]) -> list[ModelFolder]:
    """The folders with those versions that can be loaded: where the newest can't, the next best are tried."""
    return [await _loadable(watch, folder) for folder in folders]


async def _loadable(watch: Watch, folder: ModelFolder) -> ModelFolder:
    sound: set[int] = set()
    while new := [version for version in folder.versions if version.version not in sound]:
        problems = {version.version: await _problem(folder, version) for version in new}
        failed = {version: problem for version, problem in problems.items() if problem}
        sound |= problems.keys() - failed.keys()
        if failed:
            refused = {**folder.refused, **failed}
            alone = replace(folder, versions=(), refused=refused, problem=next(iter(failed.values())))
            folder = watch.again(folder.name, failed, ()) or alone
    return folder


async def _problem(folder: ModelFolder, version: VersionFolder) -> str:
    if folder.config and folder.config.hone.remote:
        return ""
    try:
        return await problem_of(source_of(folder.name, version, folder.config), EngineLimits())
    except ArtifactError as error:
        return str(error)


def _print_table(rows: Sequence[dict[str, object]]) -> None:
    table = Table("model", "versions", "state")
    for row in rows:
        notes = [str(row["problem"])] if row["problem"] else ["ok", *_texts(row["warnings"])]
        table.add_row(str(row["model"]), ", ".join(_texts(row["versions"])), "\n".join(notes))
    Console().print(table if rows else "no models")


def _texts(values: object) -> list[str]:
    return [str(value) for value in values] if isinstance(values, list) else []
