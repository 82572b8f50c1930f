"""The versions of a model that another server computes."""

from service.artifact.config import ModelConfig
from service.artifact.lengths import LENGTH, UNPAD
from service.errors import ArtifactError

OWN_CHOICE = 1
"""Our version of a model whose config leaves the version to the remote server."""
_NOT_OURS = ("hone.precision", "hone.batch_tolerance", LENGTH, UNPAD)


def remote_versions(config: ModelConfig) -> tuple[int, ...]:
    """The versions to serve: those that `version_policy.specific` asks the remote for, else one, its own choice."""
    return config.version_policy.specific or (OWN_CHOICE,)


def review_remote(config: ModelConfig) -> tuple[str, ...]:
    """A warning for each thing in the config that has no effect. Raises ArtifactError for what can't be promised."""
    place = config.origin
    for key in config.parameters:
        if key.startswith(_NOT_OURS):
            raise ArtifactError(f"{place}: hone.remote: {key} is the remote server's, leave it out")
    batching = config.dynamic_batching
    idle = {
        "instance_group": config.instance_groups,
        "hone.cuda_graphs": config.hone.cuda_graphs,
        "priority_queue_policy": batching and batching.priority_queue_policies,
        "default_timeout_microseconds": batching and batching.default_queue_policy.default_timeout_microseconds,
    }
    return tuple(f"{place}: {what} is the remote server's and is ignored" for what, said in idle.items() if said)
