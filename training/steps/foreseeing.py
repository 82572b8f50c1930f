"""How long it is foreseen to take to say what variants are worth: to test them, and to tell what ran of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from training.compression.search.design import Design
from training.steps.explaining import is_float, step_of
from training.steps.journal import Journal

TESTED, TRIALS = "tested", "trials.json"
INTERVALS = 2.0
"""Seconds that a variant may take longer when it is tested than when it is tried: figures have intervals then.

In ten searches of eight recipes, on two cores, it took 1.0 longer on average, and 2.4 at most.
"""
FLOATS, INTEGERS = 1.5, 5.0
"""Seconds that it takes to tell what ran of a variant: in floating point, and of others beside its network in that.

Of small networks in floating point, 1 and 16 rows at once, by both runtimes, it took 0.3 to 4.0, 1.4 on average. Of
others it took 1.1 to 8.3, 3.9 on average, before the teacher was timed along with them for about a second.
"""


@dataclass
class Foreseen:
    """What is known of the times of a search in a `journal`; `turn` is what one variant took of the last trial."""

    journal: Journal[Any]
    turn: float = 0.0

    def to_test(self, designs: Sequence[Design]) -> float:
        """Seconds for these and what they were made from, at the pace of the last test if there was one."""
        parents = {one.parent for one in designs} - {None}
        pace = self.turn + INTERVALS
        if seconds := self.journal.seconds(TESTED):
            pace = seconds / len(msgspec.json.decode(self.journal.path(TESTED, TRIALS).read_bytes()))
        return pace * len({*designs, *parents})

    def to_explain(self, *designs: Design) -> float:
        """Seconds to tell what ran of these; as long as it took the last time."""
        return sum(self.journal.seconds(step_of(one)) or (FLOATS if is_float(one) else INTEGERS) for one in designs)
