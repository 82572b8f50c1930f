"""What became of a network when it was given other numbers."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Made:
    """The nodes that multiply and were `left` in float, with the reason, by their names.

    `alone` says that the service computes every request alone, as it found when it loaded the file that batch-mates may
    change answers: where ranges are those of a batch, they are its mates', too. `mates` is the most that an answer to
    one of a few samples moves with the others in its batch, as a share of the largest answer.
    """

    left: Mapping[str, str] = field(default_factory=dict)
    mates: float = 0.0
    alone: bool = False

    def __str__(self) -> str:
        """All of it in a line, long lists cut; empty where there is nothing to say."""
        told = []
        if self.alone:
            told.append(
                f"batch-mates may change answers (samples' by up to {self.mates:.2%}): each request is computed alone,"
                " and answers are judged one input at a time"
            )
        by: dict[str, list[str]] = defaultdict(list)
        for node, reason in self.left.items():
            by[reason].append(node)
        for reason, nodes in by.items():
            more = f" and {len(nodes) - SHOWN} more" if len(nodes) > SHOWN else ""
            told.append(f"left in float: {', '.join(nodes[:SHOWN])}{more} ({reason})")
        return "; ".join(told)
