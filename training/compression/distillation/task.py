"""Distillation as a task: what a student is asked to do anyway, and to answer and to see as its teacher does."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, cast

import torch
from torch import nn

from training.compression.distillation.answers import Answer, Weights, apart, weights_of
from training.compression.distillation.layers import Seen, tapped
from training.compression.distillation.pupil import Hint, wanted
from training.data.batches import Batch
from training.tasks.next_token import NextToken
from training.tasks.task import Better, Judgement, Task


@dataclass
class Overheard:
    """A `network` as a task calls it, and the last call: what it was shown, and what it answered."""

    network: nn.Module
    inputs: tuple[torch.Tensor, ...] = ()
    answer: Answer = None

    def __call__(self, *inputs: torch.Tensor) -> Answer:
        """The network's answer."""
        self.inputs, self.answer = inputs, self.network(*inputs)
        return self.answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """How far `teacher`'s answers are, weighted `soft`, and the loss of the `task` itself for the rest.

    What `hints` say is added to that. `temperature` softens logits on both sides. A student with hints is a `Pupil`.
    """

    task: Task
    teacher: nn.Module
    temperature: float
    soft: float
    hints: tuple[Hint, ...] = ()

    def __post_init__(self) -> None:
        self.teacher.eval()

    @property
    def better(self) -> Better:
        """The task's own metrics: what is reported compares a student with its teacher, by the same measure."""
        return self.task.better

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss, and the task's own metrics. Where no gradient is wanted the teacher isn't asked.

        The teacher is shown what the student was: its answers to inputs that were changed are those to the changed
        ones. Raises SettingsError if the two can't be compared.
        """
        student = Overheard(network)
        judgement = self.task(cast("nn.Module", student), batch)
        if not torch.is_grad_enabled() or not (self.soft or self.hints):
            return judgement
        seen: Seen
        names = {name for hint in self.hints for _, modules in hint.pairs for name in modules}
        with torch.no_grad(), tapped(self.teacher, names) as seen:
            answer = self.teacher.to(batch.inputs.device)(*student.inputs)
        loss = (1 - self.soft) * judgement.loss
        divisor = judgement.weight_of(batch) or 1.0
        if self.soft:
            loss = loss + self.soft * apart(self.task, student.answer, answer, batch, self.temperature) / divisor
        if self.hints:
            hinted = self._hinted(network, seen, student.inputs[0])
            loss = loss + (weights_of(self.task, batch) * hinted).sum() / divisor
        return replace(judgement, loss=loss)

    def _hinted(self, pupil: Any, seen: Seen, inputs: torch.Tensor) -> Weights:
        """What hints add to the loss of each input, [N]."""
        # Texts are padded with 0; windows of text are full.
        there = inputs != 0 if inputs.dtype == torch.int64 and not isinstance(self.task, NextToken) else None
        shown = zip(pupil.shown(), wanted(self.hints, seen), strict=True)
        total = torch.zeros(len(inputs), device=inputs.device)
        for hint in self.hints:
            for _ in hint.pairs:
                found, aim = next(shown)
                total = total + hint.weight / len(hint.pairs) * hint.measure(found, aim, there)
        return total


@dataclass(frozen=True, kw_only=True)
class TogetherDistillation(Distillation):
    """Distillation of a task that compares the inputs of a batch with each other."""

    together: ClassVar[Literal[True]] = True
