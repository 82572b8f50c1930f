"""Networks, checkpoints and the training loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from service.errors import ArtifactError
from training import checkpoint
from training.data.batches import Batches, Jitter
from training.data.split import Dataset
from training.fit import STATE, Fit, FitSettings, Fitted, assess, learning_rate
from training.networks.resnet import ResNet, ResNetConfig, build
from training.tasks.classification import Classification

TINY = ResNetConfig(widths=(8, 16))
SETTINGS = FitSettings(epochs=4, batch_size=128, learning_rate=0.01)


def fit(
    dataset: Dataset, folder: Path, console: Console, settings: FitSettings = SETTINGS, stop_after: int | None = None
) -> tuple[ResNet, Fitted]:
    network = build(TINY, seed=5)
    few = replace(dataset, train=dataset.train.take(np.arange(384)))
    batches = Batches(few.train, size=settings.batch_size, jitter=Jitter(rotation=5, shift=0, scale=0), seed=5)
    task = Classification(label_smoothing=0.1)
    return network, Fit(network, task, batches, dataset.validation, settings).run(
        folder, console, stop_after=stop_after
    )


def same(first: ResNet, second: ResNet) -> bool:
    others = second.state_dict()
    return all(torch.equal(value, others[name]) for name, value in first.state_dict().items())


def test_the_same_seed_gives_the_same_weights(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """Two runs of the same settings end with bit-equal weights and histories."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, history = fit(dataset, tmp_path / "a", quiet)
    second, other = fit(dataset, tmp_path / "b", quiet)
    assert same(first, second)
    assert history == other


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_resumed_run_ends_as_if_never_interrupted(
    dataset: Dataset, tmp_path: Path, quiet: Console, stop_after: int
) -> None:
    """A run that was stopped at any epoch and started again ends with the same weights and history."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, history = fit(dataset, tmp_path / "whole", quiet)
    fit(dataset, tmp_path / "parts", quiet, stop_after=stop_after)
    resumed, other = fit(dataset, tmp_path / "parts", quiet)
    assert same(whole, resumed)
    assert history == other


def test_training_stops_when_validation_no_longer_improves(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """After `patience` epochs without a better loss the run ends, with the weights of its best epoch."""
    settings = replace(SETTINGS, epochs=50, learning_rate=0.9, patience=2)
    network, history = fit(dataset, tmp_path, quiet, settings)
    assert len(history.epochs) < 50
    assert history.best == len(history.epochs) - 1 - settings.patience
    losses = [epoch.validation["loss"] for epoch in history.epochs]
    assert losses[history.best] == min(losses)
    assert assess(network, Classification(), dataset.validation)["loss"] == pytest.approx(min(losses))


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


def test_smoothing_changes_the_loss_but_not_the_metrics(trained: ResNet, dataset: Dataset) -> None:
    """What is reported stays comparable between recipes that smooth differently."""
    plain, smooth = Classification(), Classification(label_smoothing=0.3)
    assert assess(trained, plain, dataset.test) == assess(trained, smooth, dataset.test)


@pytest.mark.parametrize(
    "config",
    [
        ResNetConfig(widths=(8,)),
        ResNetConfig(widths=(8, 16, 8), blocks=2),
        ResNetConfig(widths=(16, 16), channels=3, classes=4),
    ],
)
def test_a_network_is_rebuilt_from_its_checkpoint(config: ResNetConfig, tmp_path: Path) -> None:
    """A file holds config and weights: what is loaded from it is the same network in evaluation mode."""
    network = build(config, seed=2).eval()
    checkpoint.save_network(tmp_path / "n.safetensors", network)
    loaded = checkpoint.load_network(tmp_path / "n.safetensors")
    images = torch.randint(0, 256, (3, config.channels, 16, 16), dtype=torch.uint8)
    assert loaded.config == config
    assert torch.equal(loaded(images), network(images))
    assert loaded(images).shape == (3, config.classes)


def test_building_leaves_chance_alone() -> None:
    """Building twice from a seed gives the same weights, and doesn't touch the global random state."""
    before = torch.random.get_rng_state()
    assert same(build(TINY, seed=1), build(TINY, seed=1))
    assert not same(build(TINY, seed=1), build(TINY, seed=2))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("content", [b"", b"\x80\x04not a pickle either", b"\xff" * 64])
def test_a_broken_checkpoint_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """What isn't a safetensors file with our facts in it is an artifact error."""
    (tmp_path / "n.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"^n\.safetensors: "):
        checkpoint.load_network(tmp_path / "n.safetensors")


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    """Weights that don't fit the config are named as such."""
    checkpoint.write(tmp_path / "n.safetensors", {"x": torch.zeros(1)}, {"resnet": {"widths": [8]}})
    with pytest.raises(ArtifactError, match="network of this kind"):
        checkpoint.load_network(tmp_path / "n.safetensors")
