"""A student together with what it needs to be compared with its teacher, and not afterwards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from training.compression.distillation.layers import Seen, tapped

Names: TypeAlias = tuple[str, ...]
Measure: TypeAlias = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]
"""How far the first is from the second: [N]. The third says which steps of an input are there, bool [N, T], or all."""


@dataclass(frozen=True, kw_only=True)
class Hint:
    """What is compared, by which `weight`, in `pairs` of layers: modules of the student and modules of the teacher.

    What several modules of a layer put out lies side by side. Where a hint `projects`, the student's widths are brought
    to the teacher's.
    """

    measure: Measure
    weight: float
    projects: bool
    pairs: tuple[tuple[Names, Names], ...]


class Pupil(nn.Module):
    """Answers as its `student` does, and learns projections of the student's layers besides, one for each of `pairs`.

    These are the student's modules of each pair, with what brings their answer to the width of the teacher's.
    """

    def __init__(self, student: nn.Module, pairs: Sequence[tuple[Names, nn.Module]]) -> None:
        super().__init__()
        self.student = student
        self.projections = nn.ModuleList(projection for _, projection in pairs)
        self._modules_of = tuple(modules for modules, _ in pairs)
        self._shown: tuple[torch.Tensor, ...] = ()

    @property
    def config(self) -> Any:
        """The student's, which a task may ask for."""
        return self.student.config

    def forward(self, *inputs: torch.Tensor) -> Any:
        """The student's answer. Where a gradient is wanted, what its layers put out is kept until it is asked for."""
        if not torch.is_grad_enabled():
            return self.student(*inputs)
        with tapped(self.student, {name for modules in self._modules_of for name in modules}) as seen:
            answer = self.student(*inputs)
        self._shown = tuple(
            projection(side_by_side(seen, modules))
            for projection, modules in zip(self.projections, self._modules_of, strict=True)
        )
        return answer

    def shown(self) -> tuple[torch.Tensor, ...]:
        """What the layers of each pair put out the last time, projected. Once: the network keeps no graph."""
        shown, self._shown = self._shown, ()
        return shown


def side_by_side(seen: Seen, modules: Names) -> torch.Tensor:
    """What these modules put out, on the last axis."""
    return seen[modules[0]] if len(modules) == 1 else torch.cat([seen[name] for name in modules], dim=-1)


def wanted(hints: Sequence[Hint], seen: Seen) -> Iterator[torch.Tensor]:
    """What a teacher's layers put out, of each pair of all hints in order."""
    for hint in hints:
        for _, modules in hint.pairs:
            yield side_by_side(seen, modules)
