"""Fits that several processes share, for `test_distributed.py`, which starts this file by torchrun.

Each is done in a folder of its own, below the one that is named; what a fit raises is written there as `error.txt`.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional

from service.errors import HoneError
from training import checkpoint
from training.data.batches import Batch, Batches
from training.data.split import Split
from training.fit import Fit
from training.fitted import Fitted
from training.optimization.distributed import Ranks, joined
from training.optimization.settings import FitSettings
from training.recipe import load_recipe
from training.seeding import seeded
from training.steps.journal import Journal
from training.tasks.adversarial import Adversarial
from training.tasks.classification import Classification, label_metrics
from training.tasks.contrastive import Contrastive
from training.tasks.task import Better, Judgement, Task

CLASSES = 3
WEIGHTED = Classification(class_weights=(0.02, 0.1, 0.4), label_smoothing=0.1)
SETTINGS = FitSettings(epochs=3, batch_size=14, learning_rate=0.05, watch=None)


@dataclass(frozen=True)
class Config:
    """Something that a task asks a network for."""

    classes: int = CLASSES


class Small(nn.Module):
    """Two layers, with a normalisation between them or without."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.config = Config()
        self.layers = nn.Sequential(nn.Linear(4, 8), norm, nn.ReLU(), nn.Linear(8, CLASSES))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [N, 4] to logits [N, 3]."""
        logits: torch.Tensor = self.layers(rows.float() / 255.0)
        return logits


@dataclass(frozen=True)
class Sparse:
    """Classification of a third of the inputs, so that shares of a batch count differently."""

    better: ClassVar[Better] = Classification.better

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The mean over inputs whose first number is divisible by the number of classes."""
        config: Any = network.config
        counts = batch.inputs[:, 0] % config.classes == 0
        logits = network(batch.inputs)[counts]
        count, targets = len(logits), batch.targets[counts]
        loss = functional.cross_entropy(logits, targets, reduction="sum") / max(1, count)
        metrics = label_metrics(logits.detach(), targets) if count else {"loss": 0.0, "accuracy": 0.0}
        return Judgement(loss=loss, metrics=metrics, count=count)


@dataclass(frozen=True)
class Background(Sparse):
    """As detection: what isn't counted is learnt too, also where a share has nothing else."""

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The sum over all inputs, by how many count."""
        judgement = super().__call__(network, batch)
        every = functional.cross_entropy(network(batch.inputs), batch.targets, reduction="sum")
        return replace(judgement, loss=every / max(1, judgement.count or 0))


@dataclass(frozen=True)
class Spoilt:
    """Classification whose loss is no number where the input of the last process is among those judged."""

    marked: int
    better: ClassVar[Better] = Classification.better

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """What classification says, unless the marked row is there."""
        judgement = Classification()(network, batch)
        spoilt = network.training and bool((batch.inputs[:, 0] == self.marked).any())
        return replace(judgement, loss=judgement.loss * float("nan")) if spoilt else judgement


class Ragged(Batches):
    """Batches, and behind them one of a single input: there are more processes."""

    def __len__(self) -> int:
        """One more."""
        return super().__len__() + 1

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`."""
        *batches, last = super().epoch(number)
        yield from batches
        yield Batch(inputs=last.inputs[:1], targets=last.targets[:1])


@dataclass(frozen=True, kw_only=True)
class Shared:
    """One fit: what differs from the simplest one. `stops` are epochs after which it is interrupted."""

    task: Task = Classification()  # noqa: RUF009 - it is frozen
    settings: FitSettings = SETTINGS
    norm: Callable[[], nn.Module] = nn.Identity
    batches: type[Batches] = Batches
    stops: tuple[int, ...] = ()


FITS = {
    "plain": Shared(),
    "sgd": Shared(settings=replace(SETTINGS, optimizer="sgd", clip=0.1)),
    "uneven": Shared(settings=replace(SETTINGS, batch_size=7)),
    "accumulated": Shared(settings=replace(SETTINGS, accumulate=2, average=0.9)),
    "ragged": Shared(batches=Ragged),
    "sparse": Shared(task=Sparse()),
    "background": Shared(task=Background(), settings=replace(SETTINGS, batch_size=5)),
    "weighted": Shared(task=WEIGHTED),
    "weighted and accumulated": Shared(
        task=WEIGHTED, batches=Ragged, settings=replace(SETTINGS, batch_size=5, accumulate=3)
    ),
    "interrupted": Shared(stops=(1, 2)),
    "stopped early": Shared(settings=replace(SETTINGS, epochs=20, watch="accuracy", patience=2)),
    "normalised": Shared(norm=lambda: nn.BatchNorm1d(8)),
    "spoilt": Shared(task=Spoilt(marked=99)),
    "game": Shared(task=Adversarial()),
    "compared": Shared(task=Contrastive()),
    "few": Shared(settings=replace(SETTINGS, batch_size=3)),
}


def rows(count: int, seed: int) -> Split:
    """Rows of three kinds that can be told apart, mostly; the first number of one, and only of one, is 99."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    inputs = (60.0 * labels[:, None] + 40 * random.normal(size=(count, 4))).clip(0, 255).astype(np.uint8)
    inputs[inputs[:, 0] == 99, 0] = 98
    inputs[0, 0] = 99
    return Split(inputs=inputs, targets=labels.astype(np.int64), sources=np.arange(count))


def run(name: str, folder: Path) -> None:
    """Do the fit `name`; its network, its history and what was printed are in `folder` at the end."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    shared, screen = FITS[name], StringIO()
    for stop in shared.stops:
        _fit(shared, folder, screen, stop)
    network, fitted = _fit(shared, folder, screen, None)
    if Ranks().leads:
        history = [[epoch.train_loss, dict(epoch.validation)] for epoch in fitted.epochs]
        facts = {"history": history, "best": fitted.best, "train": dict(fitted.train), "screen": screen.getvalue()}
        checkpoint.write(folder / "network.safetensors", network.state_dict(), facts)


def _fit(shared: Shared, folder: Path, screen: StringIO, stop: int | None) -> tuple[Small, Fitted]:
    with seeded(1):
        network = Small(shared.norm())
    batches = shared.batches(rows(43, seed=1), size=shared.settings.batch_size, transforms=(), seed=9)
    fit = Fit(network, shared.task, batches, rows(20, seed=2), shared.settings)
    return network, fit.run(folder, Console(file=screen, width=200), stop_after=stop)


def keep_journal(runs: Path) -> None:
    """Two steps, twice: one that the first process does and one that is shared; each says which process did it."""

    def action(folder: Path) -> None:
        with (folder / f"rank-{Ranks().rank}").open("a") as file:
            file.write("done\n")

    with Journal(load_recipe("digits", "tiny"), runs, Console(quiet=True)) as journal:
        for _ in range(2):
            journal.do("alone", {}, (), action, lambda: "")
            journal.do("shared", {}, (), action, lambda: "", shared=True)


def main(folder: Path) -> None:
    """Do all fits, and keep a journal."""
    with joined():
        keep_journal(folder / "runs")
        for name in FITS:
            try:
                run(name, folder / name)
            except HoneError as error:
                (folder / name / f"error-{Ranks().rank}.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
