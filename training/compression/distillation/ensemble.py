"""Several teachers as one, which is right more often than each of them.

Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv 1503.02531.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from training.compression.distillation.answers import Answer, united
from training.tasks.task import Task


class Ensemble(nn.Module):
    """What `members`, networks of one config for one `task`, answer together."""

    def __init__(self, members: Sequence[nn.Module], task: Task) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.config: Any = members[0].config
        self._task = task

    def forward(self, *inputs: Any) -> Answer:
        """What one of them takes, to an answer of the form of theirs; see `united`."""
        return united(self._task, [member(*inputs) for member in self.members])
