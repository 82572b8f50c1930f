"""Which of a model's versions are served."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.errors import ArtifactError


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionPolicy:
    """Which versions are served: the newest `latest`, or exactly `specific`, or all when both are None."""

    latest: int | None = 1
    specific: tuple[int, ...] | None = None

    def candidates(self, versions: Iterable[int]) -> list[int]:
        """The versions that may be served, newest first; at most `latest` of them are to be taken."""
        newest_first = sorted(versions, reverse=True)
        if self.specific is None:
            return newest_first
        return [version for version in newest_first if version in self.specific]


def read_version_policy(config: Any, *, source: str) -> VersionPolicy:
    """What the message `ModelConfig` says, checked; Triton's default is written into it. Raises ArtifactError."""
    if not config.HasField("version_policy"):
        config.version_policy.latest.num_versions = 1
    choice = config.version_policy.WhichOneof("policy_choice")
    if choice == "all":
        return VersionPolicy(latest=None)
    if choice == "specific":
        versions = tuple(sorted(set(config.version_policy.specific.versions)))
        if not versions or versions[0] < 1:
            raise ArtifactError(f"{source}: version_policy.specific must name versions above 0")
        return VersionPolicy(latest=None, specific=versions)
    return VersionPolicy(latest=config.version_policy.latest.num_versions or 1)
