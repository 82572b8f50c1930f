"""Which of a model's versions are served."""

from collections.abc import Iterable
from dataclasses import dataclass


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
