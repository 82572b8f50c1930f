"""The verb `check`: what of a model repository would be served, and what is wrong with the rest?"""

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

from pydantic import Field
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.artifact.config import ModelConfig
from service.engine.device import Devices
from service.engine.ensemble.dependencies import in_order
from service.engine.ensemble.rehearsal import problem_of_ensemble
from service.engine.rehearsal import rehearse
from service.engine.source import EngineLimits, source_of
from service.errors import ArtifactError
from service.exit_code import ExitCode
from service.repository.folder import ModelFolder, VersionFolder
from service.repository.reason import with_version
from service.repository.watch import Watch
from service.settings import RepositorySettings

_Sound: TypeAlias = dict[str, dict[int, ModelConfig | None]]
"""The versions of each model that would be served, with what their workers know of them."""
_UNKNOWN = "no --require-signature says whether to trust it"


class CheckSettings(RepositorySettings):
    """Say what of a model repository would be served, and what is wrong.

    Every version is loaded by a worker, on each device that it asks for, and compared with its config and golden
    samples; remote servers aren't asked. Exit code 0: all that is asked for would be served; 1: every model would be
    served, but not in each version that its version_policy asks for; 2: a model, or the repository, can't be served.
    """

    as_json: bool = Field(False, alias="json", description="print JSON for machines")


def check(settings: CheckSettings) -> int:
    """Look, load, and print; the exit code. Raises ArtifactError when there is no repository."""
    checks = settings.checks
    watch = Watch(settings.model_repository, checks, calm=0.0)
    devices = Devices()
    folders = asyncio.run(_rehearse(watch, watch.take(watch.names(), {}), devices))
    rows = [_row(folder, devices) for folder in folders]
    if settings.as_json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    else:
        _print_table(rows, checks.keys or {})
    if not rows or any(not row.versions for row in rows):
        return ExitCode.WRONG_SETTING
    return ExitCode.FAILED if any(row.problem for row in rows) else ExitCode.OK


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What is said of one model, in the words of `--json`.

    `versions` would be served. `refused` says of each other one that the policy asks for why not; `problem` is all of
    these reasons, or what is wrong with the model, and None when nothing is. `signed_by` has the name of the key for
    each of `versions` whose card is signed.
    """

    model: str
    versions: list[int]
    problem: str | None
    refused: dict[int, str]
    warnings: list[str]
    signed_by: dict[int, str]


def _row(folder: ModelFolder, devices: Devices) -> Row:
    refused = dict(sorted(folder.refused.items(), reverse=True))
    return Row(
        model=folder.name,
        versions=[version.version for version in folder.versions],
        problem="; ".join(dict.fromkeys(refused.values())) or folder.problem,
        refused=refused,
        warnings=[*folder.warnings, *devices.review(folder.config), *_cautions(folder)],
        signed_by={one.version: one.card.signer for one in folder.versions if one.card and one.card.signer},
    )


def _cautions(folder: ModelFolder) -> list[str]:
    return [with_version(folder.name, one.version, one.warning) for one in folder.versions if one.warning]


async def _rehearse(watch: Watch, folders: Sequence[ModelFolder], devices: Devices) -> list[ModelFolder]:
    """The folders with those versions that can be loaded: where the newest can't, the next best are tried."""
    found: dict[str, ModelFolder] = {}
    sound: _Sound = {}
    for folder in in_order(folders):
        found[folder.name] = await _loadable(watch, folder, devices, sound)
    return [found[folder.name] for folder in folders]


async def _loadable(watch: Watch, folder: ModelFolder, devices: Devices, every: _Sound) -> ModelFolder:
    """The folder with what can be loaded of it, whose configurations are added to those of `every` model."""
    sound: dict[int, ModelConfig | None] = {}
    every[folder.name] = sound
    while new := [version for version in folder.versions if version.version not in sound]:
        verdicts = {version.version: await _verdict(folder, version, devices, every) for version in new}
        failed = {version: problem for version, (problem, _) in verdicts.items() if problem}
        sound |= {version: config for version, (problem, config) in verdicts.items() if not problem}
        if failed:
            refused = {**folder.refused, **failed}
            alone = replace(folder, versions=(), refused=refused, problem=next(iter(failed.values())))
            folder = watch.again(folder.name, failed, ()) or alone
    return folder


async def _verdict(
    folder: ModelFolder, version: VersionFolder, devices: Devices, every: _Sound
) -> tuple[str, ModelConfig | None]:
    """Why a version would not be served, or its configuration, as far as it is known."""
    if folder.config and folder.config.hone.remote:
        return "", None
    if folder.config and folder.config.ensemble_scheduling:
        return problem_of_ensemble(folder.config, every), folder.config
    try:
        return await rehearse(source_of(folder.name, version, folder.config), devices, EngineLimits())
    except ArtifactError as error:
        return str(error), None


def _print_table(rows: Sequence[Row], keys: Mapping[str, str]) -> None:
    """`keys` have the name of the file of each that is trusted."""
    table = Table("model", "versions", "state")
    for row in rows:
        refused = [with_version(row.model, version, reason) for version, reason in row.refused.items()]
        signed = [
            with_version(row.model, version, f"its signature is valid, by {key} ({keys.get(key, _UNKNOWN)})")
            for version, key in row.signed_by.items()
        ]
        notes = [*(refused or [row.problem or "ok"]), *signed, *row.warnings]
        table.add_row(row.model, ", ".join(map(str, row.versions)), escape("\n".join(notes)))
    Console().print(table if rows else "no models")
