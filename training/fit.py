"""The training loop, the only one: epochs, a schedule, validation, early stopping, checkpoints, and resuming from them.

A run is a function of its network, task, batches and settings: interrupted at any epoch and started again, it ends
with the same weights as if it had never stopped, because batches depend on seed and epoch only.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import nn

from training import checkpoint
from training.data.batches import Batches, plain_batches
from training.data.split import Split
from training.errors import Damaged, Diverged
from training.tasks.task import Judgement, Task

STATE = "last.safetensors"
"""The checkpoint of the last epoch that was finished, in the folder of a run."""


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to train.

    `learning_rate` is the peak, reached after the share `warmup` of all steps and left along a cosine to zero.
    `patience` is how many epochs in a row may pass without a better validation loss.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.003
    weight_decay: float = 0.01
    warmup: float = 0.1
    patience: int = 10

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.patience) < 1:
            raise ValueError("epochs, batch_size, patience: must be at least 1")
        if not 0 < self.learning_rate < 1 or not 0 <= self.warmup < 1:
            raise ValueError("learning_rate, warmup: must be between 0 and 1")
        if self.weight_decay < 0:
            raise ValueError("weight_decay: must not be below 0")


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch came to: mean training loss, and the validation metrics."""

    number: int
    train_loss: float
    validation: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A finished run: its epochs in order, and the number of the one whose weights the network now has."""

    epochs: tuple[Epoch, ...]
    best: int


class Fit:
    """One training run. Owns the network's weights while it lasts, the optimizer, and the history."""

    def __init__(
        self, network: nn.Module, task: Task, batches: Batches, validation: Split, settings: FitSettings
    ) -> None:
        # Convolutions on a CPU are a quarter faster when the channels of a pixel lie side by side.
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._task = task
        self._batches = batches
        self._validation = validation
        self._settings = settings
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._history: list[Epoch] = []
        self._best_weights: dict[str, torch.Tensor] = {}

    def run(self, folder: Path, console: Console, *, stop_after: int | None = None) -> Fitted:
        """Train until done, resuming from `folder` if a checkpoint lies there; the network ends with its best weights.

        `stop_after` ends the call after that many epochs in all, as an interruption would. Raises Diverged as soon as
        a loss is no number, and Damaged if the checkpoint can't be read; the checkpoint stays as it is.
        """
        self._resume(folder / STATE)
        with _progress(console) as progress:
            bar = progress.add_task(folder.name, total=self._settings.epochs * len(self._batches), note="")
            progress.update(bar, completed=len(self._history) * len(self._batches))
            while not self._finished() and len(self._history) != stop_after:
                try:
                    self._epoch(progress, bar)
                except Diverged as error:
                    raise Diverged(f"{folder.name}: {error}; {self._advice(folder / STATE)}") from error
                self._save(folder / STATE)
        self._network.load_state_dict(self._best_weights)
        self._network.eval()
        return Fitted(epochs=tuple(self._history), best=self._best().number)

    def _epoch(self, progress: Progress, bar: TaskID) -> None:
        number = len(self._history)
        losses = []
        self._network.train()
        for index, batch in enumerate(self._batches.epoch(number)):
            self._set_learning_rate(number * len(self._batches) + index)
            judgement = self._task(self._network, batch)
            _check(judgement, f"epoch {number + 1}, step {index + 1}")
            self._optimizer.zero_grad(set_to_none=True)
            judgement.loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            self._optimizer.step()
            losses.append(float(judgement.loss.detach()))
            progress.advance(bar)
        scores = assess(self._network, self._task, self._validation)
        if not math.isfinite(scores["loss"]):
            raise Diverged(f"the validation loss became {scores['loss']} in epoch {number + 1}")
        self._history.append(Epoch(number=number, train_loss=sum(losses) / len(losses), validation=scores))
        if self._best().number == number:
            self._best_weights = {name: value.clone() for name, value in self._network.state_dict().items()}
        progress.update(bar, note=_note(self._history[-1]))

    def _set_learning_rate(self, step: int) -> None:
        rate = learning_rate(self._settings, step, self._settings.epochs * len(self._batches))
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def _best(self) -> Epoch:
        return min(self._history, key=lambda epoch: (epoch.validation["loss"], epoch.number))

    def _finished(self) -> bool:
        if not self._history:
            return False
        stale = len(self._history) - 1 - self._best().number
        return len(self._history) >= self._settings.epochs or stale >= self._settings.patience

    def _advice(self, state: Path) -> str:
        good = f"{state.parent.name}/{state.name} holds epoch {len(self._history)}, the last good one"
        return f"{good if self._history else 'no epoch was finished'}. A lower learning_rate or more warmup helps"

    def _save(self, path: Path) -> None:
        tensors = {f"now.{name}": value for name, value in self._network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self._best_weights.items()}
        for index, moments in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        history = [[epoch.train_loss, dict(epoch.validation)] for epoch in self._history]
        checkpoint.write(path, tensors, {"history": history})

    def _resume(self, path: Path) -> None:
        if not path.exists():
            return
        tensors, facts = checkpoint.read(path)
        try:
            self._restore(tensors, facts)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise Damaged(f"{path.parent.name}/{path.name}: isn't the checkpoint of this run ({error})") from error

    def _restore(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        self._history = [
            Epoch(number=number, train_loss=loss, validation=scores)
            for number, (loss, scores) in enumerate(facts["history"])
        ]
        self._network.load_state_dict(_under("now.", tensors))
        self._best_weights = _under("best.", tensors)
        state = self._optimizer.state_dict()
        for name, value in _under("optimizer.", tensors).items():
            index, moment = name.split(".", 1)
            state["state"].setdefault(int(index), {})[moment] = value
        self._optimizer.load_state_dict(state)


def learning_rate(settings: FitSettings, step: int, steps: int) -> float:
    """The rate of step `step` of `steps`: a straight rise to the peak, then half a cosine to zero."""
    rise = max(1, round(settings.warmup * steps))
    if step < rise:
        return settings.learning_rate * (step + 1) / rise
    done = (step - rise) / max(1, steps - rise)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def assess(network: nn.Module, task: Task, split: Split, *, batch_size: int = 256) -> dict[str, float]:
    """The task's metrics over a whole part, each the mean over images, in evaluation mode."""
    network.eval()
    totals: dict[str, float] = {}
    with torch.inference_mode():
        for batch in plain_batches(split, batch_size):
            for name, value in task(network, batch).metrics.items():
                totals[name] = totals.get(name, 0.0) + value * len(batch.labels)
    return {name: total / len(split) for name, total in totals.items()}


def _check(judgement: Judgement, where: str) -> None:
    loss = float(judgement.loss.detach())
    if not math.isfinite(loss):
        raise Diverged(f"the loss became {loss} in {where}")


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _progress(console: Console) -> Progress:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _note(epoch: Epoch) -> str:
    return f"epoch {epoch.number + 1}, validation " + ", ".join(f"{k} {v:.3f}" for k, v in epoch.validation.items())
