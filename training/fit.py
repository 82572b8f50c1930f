"""The training loop, the only one: epochs, a schedule, validation, early stopping, checkpoints, and resuming from them.

A run is a function of its network, task, batches and settings: interrupted at any epoch and started again, it ends
with the same weights as if it had never stopped, because batches, and all other chance, depend on seed and epoch only.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import TimeRemainingColumn
from torch import nn

from service.errors import SettingsError
from training import checkpoint
from training.data.batches import Batch, Epochs, plain_batches
from training.data.split import Split
from training.errors import Damaged, Diverged
from training.fitted import Epoch, Fitted
from training.optimization.acceleration import Acceleration
from training.optimization.average import Average
from training.optimization.distributed import Ranks
from training.optimization.player import Player
from training.optimization.schedule import learning_rate
from training.optimization.settings import FitSettings
from training.optimization.tally import Tally
from training.optimization.weighted_sum import WeightedSum
from training.progress import FitProgress, bar
from training.record import Recorder
from training.seeding import seeded
from training.tasks.task import Game, Judgement, Task

STATE = "last.safetensors"
"""The checkpoint of the last epoch that was finished, in the folder of a run."""
CPU = torch.device("cpu")
WHOLE = "network"
"""The one who learns where no task says otherwise."""


class Fit:
    """One training run. Owns the network's weights while it lasts, those who learn, the average, and the history."""

    def __init__(
        self, network: nn.Module, task: Task, batches: Epochs, validation: Split, settings: FitSettings
    ) -> None:
        """Raises SettingsError if device or processes can't do what is asked, or there is no such metric or part."""
        if settings.watch is not None and settings.watch not in task.better:
            raise SettingsError(f"watch: there is no metric `{settings.watch}`; there are {', '.join(task.better)}")
        self._ranks = Ranks()
        self._ranks.check(task, settings)
        self._acceleration = Acceleration(settings)
        self._device = self._acceleration.device
        # Convolutions on a CPU are a quarter faster when the channels of a pixel lie side by side.
        self._network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._task = task
        self._batches = batches
        self._validation = validation
        self._settings = settings
        self._steps = math.ceil(len(batches) / settings.accumulate)
        self._players = {turn: Player(part, settings) for turn, part in self._parts().items()}
        self._shown = self._ranks.parallel(self._acceleration.ready(self._network))
        self._average = Average(self._network, settings.average) if settings.average else None
        self._history: list[Epoch] = []
        self._best_weights: dict[str, torch.Tensor] = {}

    def run(
        self,
        folder: Path,
        console: Console,
        *,
        stop_after: int | None = None,
        observer: Callable[[Epoch], None] | None = None,
    ) -> Fitted:
        """Train until done, resuming from `folder` if a checkpoint lies there; the network ends with its best weights.

        `stop_after` ends the call after that many epochs in all, as an interruption would. The `observer` is told each
        epoch that is done, and what it raises ends the call too. Raises Diverged as soon as a loss is no number, and
        Damaged if the checkpoint can't be read; the checkpoint stays as it is.
        """
        self._resume(folder / STATE)
        if self._ranks.leads and (warning := self._ranks.warning(self._network)):
            console.print(f"  {folder.name}: {warning}", style="yellow", highlight=False, soft_wrap=True)
        recorder, epochs = Recorder(folder), self._settings.epochs
        total, done = epochs * self._steps, len(self._history) * self._steps
        with bar(console, folder.name, total=total, done=done, time=TimeRemainingColumn()) as shown:
            progress = FitProgress(shown, epochs=epochs)
            while not self._finished() and len(self._history) != stop_after:
                try:
                    tally = self._epoch(progress)
                except Diverged as error:
                    raise Diverged(f"{folder.name}: {error}; {self._advice(folder / STATE)}") from error
                if self._ranks.leads:
                    recorder.add(tally.record(self._history[-1]))
                    self._save(folder / STATE)
                if observer is not None:
                    observer(self._history[-1])
        self._network.load_state_dict(self._best_weights)
        train = self._assess(self._network, self._batches.plain(len(self._validation)))
        self._network.eval().cpu()
        return Fitted(epochs=tuple(self._history), best=self._best().number, train=train)

    def _parts(self) -> Mapping[str, nn.Module]:
        """What learns by an optimizer of its own."""
        if not isinstance(self._task, Game):
            return {WHOLE: self._network}
        if self._acceleration.compiled:
            raise SettingsError("acceleration: a network whose parts learn in turns can't be compiled; set it to none")
        there = dict(self._network.named_modules())
        if missing := [turn for turn in self._task.turns if turn not in there]:
            raise SettingsError(f"task: asks for a network with the parts {', '.join(missing)}, this one has none")
        return {turn: there[turn] for turn in self._task.turns}

    def _epoch(self, progress: FitProgress) -> Tally:
        number, tally = len(self._history), Tally(processes=self._ranks.count)
        self._network.train()
        # Other primes than that of batches: what is dropped has nothing to do with the order, nor with other processes.
        with seeded(self._batches.seed * 999_983 + number + self._ranks.rank * 1_000_000_007):
            for index, group in enumerate(self._groups(number)):
                self._step(number * self._steps + index, group, f"epoch {number + 1}, step {index + 1}", tally)
                progress.step(number, tally)
        counts = self._average.network if self._average else self._network
        scores = self._assess(counts, self._validation)
        for name, score in scores.items():
            if not math.isfinite(score):
                raise Diverged(f"the validation {name} became {score} in epoch {number + 1}")
        self._history.append(Epoch(number=number, train_loss=tally.loss, validation=scores))
        if self._best().number == number:
            self._best_weights = {name: value.clone() for name, value in counts.state_dict().items()}
        progress.epoch(scores)
        return tally

    def _assess(self, network: nn.Module, split: Split) -> dict[str, float]:
        """The first process looks; what it finds decides for all when the fit ends."""
        scores: dict[str, float] = self._ranks.told(lambda: assess(network, self._task, split, device=self._device))
        return scores

    def _groups(self, number: int) -> Iterator[list[Batch]]:
        """The batches of epoch `number`, as many together as are accumulated; the last may be fewer."""
        batches = self._batches.epoch(number)
        while group := [batch.to(self._device) for batch in islice(batches, self._settings.accumulate)]:
            yield group

    def _step(self, step: int, group: list[Batch], where: str, tally: Tally) -> None:
        """Let everybody learn once, by a loss that is the mean over `group`."""
        rate = learning_rate(self._settings, step, self._settings.epochs * self._steps)
        total, norms = 0.0, []
        for turn, player in self._players.items():
            player.begin()
            losses = WeightedSum()
            for batch in group:
                with self._ranks.accumulating(self._shown, last=batch is group[-1]):
                    losses = self._learn(turn, batch, losses, where)
            total += losses.mean
            norms.append(player.step(rate))
        if self._average:
            self._average.update(self._network, step)
        tally.add(loss=total, norm=math.hypot(*norms), rate=rate, examples=sum(len(batch.inputs) for batch in group))

    def _learn(self, turn: str, batch: Batch, before: WeightedSum, where: str) -> WeightedSum:
        """Make the gradient, of the mean of the losses `before`, that of the mean of these and a batch's; all these."""
        with self._acceleration.precision():
            judgement = self._judge(turn, self._ranks.share(batch))
        added, factor = self._ranks.sum(judgement, batch)
        if not math.isfinite(added.mean):
            raise Diverged(f"the loss became {added.mean} in {where}")
        losses = before + added
        self._players[turn].fade(before.divisor / losses.divisor)
        (judgement.loss * (factor / losses.divisor)).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        return losses

    def _judge(self, turn: str, batch: Batch) -> Judgement:
        if isinstance(self._task, Game):
            return self._task.judge(turn, self._shown, batch)
        return self._task(self._shown, batch)

    def _best(self) -> Epoch:
        if (watch := self._settings.watch) is None:
            return self._history[-1]
        sign = 1 if self._task.better[watch] == "smaller" else -1
        return min(self._history, key=lambda epoch: (sign * epoch.validation[watch], epoch.number))

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
        if self._average:
            tensors |= {f"average.{name}": value for name, value in self._average.network.state_dict().items()}
        for turn, player in self._players.items():
            tensors |= {f"optimizer.{turn}.{name}": value for name, value in player.moments().items()}
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
        if self._average:
            self._average.network.load_state_dict(_under("average.", tensors))
        for turn, player in self._players.items():
            player.restore(_under(f"optimizer.{turn}.", tensors))


def assess(
    network: nn.Module, task: Task, split: Split, *, batch_size: int = 256, device: torch.device = CPU
) -> dict[str, float]:
    """The task's metrics over a whole part, the means over all it counts, in evaluation mode and by the same chance."""
    network.eval()
    sums: dict[str, WeightedSum] = {}
    with torch.inference_mode(), seeded(0):
        for batch in plain_batches(split, batch_size):
            judgement = task(network, batch.to(device))
            for name, value in judgement.metrics.items():
                added = WeightedSum.of(value, weight=judgement.weight_of(batch, name))
                sums[name] = sums.get(name, WeightedSum()) + added
    return {name: one.mean for name, one in sums.items()}


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
