"""The versions of a model that is made of other models."""

from collections.abc import Collection

from service.artifact.config import ModelConfig
from service.artifact.ensemble_scheduling import EnsembleScheduling
from service.artifact.lengths import LENGTH, UNPAD
from service.errors import ArtifactError

OWN_CHOICE = 1
"""The version of an ensemble that has no version folder: nothing would be in it, and git keeps no empty folder."""
_NOT_ITS = (
    "hone.batch_buckets",
    "hone.batch_tolerance",
    "hone.cuda_graphs",
    "hone.precision",
    "intra_op_thread_count",
    "inter_op_thread_count",
    LENGTH,
    UNPAD,
)


def ensemble_versions(config: ModelConfig, on_disk: Collection[int]) -> Collection[int]:
    """The versions that there are: those with a folder, whatever is in it, or what the config says where none has."""
    return on_disk or config.version_policy.specific or (OWN_CHOICE,)


def review_ensemble(config: ModelConfig, scheduling: EnsembleScheduling) -> tuple[str, ...]:
    """A warning for each step that never runs. Raises ArtifactError for what only the models of the steps can do."""
    place = config.origin
    for key in config.parameters:
        if key.startswith(_NOT_ITS):
            raise ArtifactError(f"{place}: {key} is for the models that compute, an ensemble computes nothing itself")
    needed = scheduling.needed(spec.name for spec in config.outputs)
    idle = [step for at, step in enumerate(scheduling.steps) if at not in needed]
    return tuple(f"{place}: {step} never runs: no output of the ensemble needs what it makes" for step in idle)
