"""What became of a network when it was given other numbers."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

NOTICEABLE = 1e-3
"""What of an answer may change before batch-mates are said to change it."""
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Made:
    """The nodes that multiply and were `left` in float, with the reason, by their names.

    `mates` is the most that an answer to an input moves with what else is in its batch, as a share of the largest
    answer: where ranges are those of a batch, they are its mates', too.
    """

    left: Mapping[str, str] = field(default_factory=dict)
    mates: float = 0.0

    @property
    def depends(self) -> bool:
        """Whether batch-mates change answers, so that the service computes every request alone."""
        return self.mates > NOTICEABLE

    def __str__(self) -> str:
        """All of it in a line, long lists cut; empty where there is nothing to say."""
        told = []
        if self.depends:
            told.append(f"batch-mates move an answer by up to {self.mates:.2%}, so requests are computed one by one")
        by: dict[str, list[str]] = defaultdict(list)
        for node, reason in self.left.items():
            by[reason].append(node)
        for reason, nodes in by.items():
            more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
            told.append(f"left in float: {', '.join(nodes[:SHOWN])}{more} ({reason})")
        return "; ".join(told)
