"""The versions of a model that another server computes."""

from pathlib import Path

from service.artifact.config import ModelConfig
from service.errors import ArtifactError
from service.repository.checks import Checks
from service.repository.folder import VersionFolder

OWN_CHOICE = 1
"""Our version of a model whose config leaves the version to the remote server."""


def remote_versions(
    path: Path, config: ModelConfig, checks: Checks
) -> tuple[tuple[VersionFolder, ...], tuple[str, ...]]:
    """The versions to serve, newest first, and a warning for each thing in the config that has no effect.

    They are those that `version_policy.specific` asks the remote for, else one that is whichever the remote chooses.
    Version folders aren't looked at. `path` is the config's. Raises ArtifactError for what can't be promised.
    """
    place = f"{config.name}/{path.name}"
    if checks.require_card:
        raise ArtifactError(f"{place}: a card is required, and a model of a remote server has none")
    if "hone.precision" in config.parameters or "hone.batch_tolerance" in config.parameters:
        raise ArtifactError(f"{place}: hone.remote: precision and batches are the remote server's, leave them out")
    batching = config.dynamic_batching
    idle = {
        "instance_group": config.instance_groups,
        "priority_queue_policy": batching and batching.priority_queue_policies,
        "default_timeout_microseconds": batching and batching.default_queue_policy.default_timeout_microseconds,
    }
    warnings = tuple(f"{place}: {what} is the remote server's and is ignored" for what, said in idle.items() if said)
    numbers = config.version_policy.specific or (OWN_CHOICE,)
    versions = tuple(VersionFolder(version=number, model_path=path) for number in sorted(numbers, reverse=True))
    return versions, warnings
