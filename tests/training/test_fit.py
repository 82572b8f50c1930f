"""The training loop: repeatable, resumable, and stopped where a loss is no number."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from training import checkpoint
from training.data.batches import Batch, Batches
from training.data.split import Dataset
from training.data.transforms.jitter import Jitter
from training.errors import Damaged, Diverged
from training.fit import STATE, Fit, assess
from training.fitted import Fitted
from training.networks.resnet import ResNet, ResNetConfig, build
from training.optimization.schedule import learning_rate
from training.optimization.settings import FitSettings
from training.tasks.classification import Classification
from training.tasks.task import Better, Judgement, Task

TINY = ResNetConfig(widths=(8, 16))
SETTINGS = FitSettings(epochs=4, batch_size=128, learning_rate=0.01)
STEPS = 3  # an epoch, of 384 images
SMOOTHED = Classification(label_smoothing=0.1)


@dataclass(kw_only=True)
class BestAfter:
    """The task, but for a validation loss that falls by 1 an epoch to 1 after `epochs`, and rises again."""

    epochs: int
    seen: int = 0
    better: ClassVar[Better] = SMOOTHED.better

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """What the task says, with that loss."""
        judgement = SMOOTHED(network, batch)
        self.seen += network.training
        loss = 1.0 + abs(self.seen // STEPS - self.epochs)
        return replace(judgement, metrics={**judgement.metrics, "loss": loss})


@dataclass(kw_only=True)
class FailingAt:
    """The task, but for losses that are no numbers: from the `bad`-th training batch on, or in validation."""

    bad: int
    value: float = float("nan")
    validation: bool = False
    seen: int = 0
    better: ClassVar[Better] = SMOOTHED.better

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """What the task says, spoilt."""
        judgement = SMOOTHED(network, batch)
        self.seen += network.training
        if self.seen < self.bad:
            return judgement
        if self.validation:
            return replace(judgement, metrics={**judgement.metrics, "loss": self.value})
        return replace(judgement, loss=judgement.loss * self.value)


def fit(
    dataset: Dataset,
    folder: Path,
    console: Console,
    settings: FitSettings = SETTINGS,
    *,
    stop_after: int | None = None,
    task: Task = SMOOTHED,
) -> tuple[ResNet, Fitted]:
    folder.mkdir(exist_ok=True)
    network = build(TINY, seed=5)
    few = replace(dataset, train=dataset.train.take(np.arange(384)))
    batches = Batches(few.train, size=settings.batch_size, transforms=[Jitter(rotation=5)], seed=5)
    run = Fit(network, task, batches, dataset.validation, settings)
    return network, run.run(folder, console, stop_after=stop_after)


def same(first: ResNet, second: ResNet) -> bool:
    others = second.state_dict()
    return all(torch.equal(value, others[name]) for name, value in first.state_dict().items())


def test_the_same_seed_gives_the_same_weights(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """Two runs of the same settings end with bit-equal weights and histories."""
    first, history = fit(dataset, tmp_path / "a", quiet)
    second, other = fit(dataset, tmp_path / "b", quiet)
    assert same(first, second)
    assert history == other


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_resumed_run_ends_as_if_never_interrupted(
    dataset: Dataset, tmp_path: Path, quiet: Console, stop_after: int
) -> None:
    """A run that was stopped at any epoch and started again ends with the same weights and history."""
    whole, history = fit(dataset, tmp_path / "whole", quiet)
    fit(dataset, tmp_path / "parts", quiet, stop_after=stop_after)
    resumed, other = fit(dataset, tmp_path / "parts", quiet)
    assert same(whole, resumed)
    assert history == other


def test_training_stops_when_validation_no_longer_improves(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """After `patience` epochs without a better loss the run ends, with the weights of the best one."""
    settings = replace(SETTINGS, epochs=20, patience=2)
    network, history = fit(dataset, tmp_path / "whole", quiet, settings, task=BestAfter(epochs=3))
    assert (5, 2) == (len(history.epochs), history.best)
    assert [3, 2, 1, 2, 3] == [epoch.validation["loss"] for epoch in history.epochs]
    third, _ = fit(dataset, tmp_path / "third", quiet, settings, stop_after=3, task=BestAfter(epochs=3))
    assert same(third, network)


def test_a_finished_run_is_not_trained_further(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """Running again over a complete checkpoint gives the same network at once."""
    first, history = fit(dataset, tmp_path, quiet)
    before = (tmp_path / STATE).read_bytes()
    second, other = fit(dataset, tmp_path, quiet)
    assert same(first, second)
    assert history == other
    assert (tmp_path / STATE).read_bytes() == before


def test_the_learning_rate_rises_peaks_and_falls_to_zero() -> None:
    """The schedule rises in a straight line to the peak and leaves it along a cosine."""
    settings = FitSettings(epochs=1, learning_rate=0.5, warmup=0.2)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[19] == max(rates) == 0.5
    assert rates[:20] == sorted(rates[:20])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[-1] < 0.001
    assert min(rates) > 0


def test_assessment_is_the_mean_over_images(trained: ResNet, dataset: Dataset) -> None:
    """Metrics don't depend on how the part was cut into batches."""
    one = assess(trained, Classification(), dataset.validation, batch_size=7)
    other = assess(trained, Classification(), dataset.validation, batch_size=1000)
    assert one == pytest.approx(other, abs=1e-5)
    assert one["accuracy"] > 0.6


def test_the_kept_weights_are_measured_on_training_data_as_on_validation(
    dataset: Dataset, tmp_path: Path, quiet: Console
) -> None:
    """A sample as large as validation, of inputs as they are; the mean training loss, of others, is another figure."""
    network, fitted = fit(dataset, tmp_path, quiet, replace(SETTINGS, average=0.5))
    batches = Batches(dataset.train.take(np.arange(384)), size=128, transforms=[Jitter(rotation=45)], seed=5)
    sample = batches.plain(len(dataset.validation))
    assert len(dataset.validation) == len(sample) < 384
    assert assess(network, SMOOTHED, sample) == fitted.train
    assert fitted.epochs[fitted.best].train_loss != pytest.approx(fitted.train["loss"], rel=0.01)


def test_smoothing_changes_the_loss_but_not_the_metrics(trained: ResNet, dataset: Dataset) -> None:
    """What is reported stays comparable between recipes that smooth differently."""
    plain, smooth = Classification(), Classification(label_smoothing=0.3)
    assert assess(trained, plain, dataset.test) == assess(trained, smooth, dataset.test)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(
    dataset: Dataset, tmp_path: Path, quiet: Console, value: float
) -> None:
    """The error names run, epoch, step and the checkpoint, which still holds the epoch before, byte for byte."""
    fit(dataset, tmp_path / "good", quiet, stop_after=2)
    text = (
        rf"^teacher: the loss became {value} in epoch 3, step 2; "
        rf"teacher/{STATE} holds epoch 2, the last good one\. A lower learning_rate or more warmup helps$"
    )
    with pytest.raises(Diverged, match=text):
        fit(dataset, tmp_path / "teacher", quiet, task=FailingAt(bad=2 * STEPS + 2, value=value))
    assert (tmp_path / "good" / STATE).read_bytes() == (tmp_path / "teacher" / STATE).read_bytes()


def test_training_goes_on_from_the_last_good_weights(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """Once its cause is mended, a run that diverged ends as one that never did."""
    whole, history = fit(dataset, tmp_path / "whole", quiet)
    with pytest.raises(Diverged):
        fit(dataset, tmp_path / "teacher", quiet, task=FailingAt(bad=2 * STEPS + 2))
    resumed, other = fit(dataset, tmp_path / "teacher", quiet)
    assert same(whole, resumed)
    assert history == other


def test_a_validation_loss_that_is_no_number_stops_too(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """An epoch whose validation gives no number isn't kept, as good as its training loss may look."""
    text = (
        r"^teacher: the validation loss became nan in epoch 2; teacher/last\.safetensors holds epoch 1, the last good"
    )
    with pytest.raises(Diverged, match=text):
        fit(dataset, tmp_path / "teacher", quiet, task=FailingAt(bad=2 * STEPS, validation=True))
    _, facts = checkpoint.read(tmp_path / "teacher" / STATE)
    assert 1 == len(facts["history"])


def test_diverging_in_the_first_epoch_says_that_nothing_was_kept(
    dataset: Dataset, tmp_path: Path, quiet: Console
) -> None:
    """Without a finished epoch there is no checkpoint, and none is named."""
    with pytest.raises(Diverged, match=r"in epoch 1, step 1; no epoch was finished\."):
        fit(dataset, tmp_path / "teacher", quiet, task=FailingAt(bad=1))
    assert [] == list((tmp_path / "teacher").iterdir())


def test_weights_that_are_no_numbers_are_found_at_once(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """The real loss of a real network is watched, not just a made-up one."""
    network = build(TINY, seed=5)
    with torch.no_grad():
        network.head.weight.fill_(float("nan"))
    batches = Batches(dataset.train, size=128, transforms=[Jitter()], seed=5)
    with pytest.raises(Diverged, match="the loss became nan in epoch 1, step 1"):
        Fit(network, SMOOTHED, batches, dataset.validation, SETTINGS).run(tmp_path, quiet)


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "text"])
def test_a_broken_checkpoint_is_named_and_not_overwritten(
    dataset: Dataset, tmp_path: Path, quiet: Console, damage: str
) -> None:
    """A checkpoint that can't be resumed from stops the run, naming step and file, and stays as it is."""
    fit(dataset, tmp_path / "teacher", quiet, stop_after=1)
    path = tmp_path / "teacher" / STATE
    if damage == "other":
        checkpoint.write(path, {"now.x": torch.zeros(1)}, {"history": [[1.0, {"loss": 1.0}]]})
    else:
        content = path.read_bytes()
        path.write_bytes({"cut": content[:-100], "empty": b"", "text": b"not a checkpoint"}[damage])
    before = path.read_bytes()
    with pytest.raises(Damaged, match=r"^teacher/last\.safetensors: isn't "):
        fit(dataset, tmp_path / "teacher", quiet)
    assert before == path.read_bytes()
