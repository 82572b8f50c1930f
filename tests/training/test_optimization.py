"""How weights are changed: rates, decay, momentum, clipping, averages, what is watched, and on what it is computed."""

import math
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any, Literal

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from service.errors import SettingsError
from training.data.batches import Batches
from training.data.split import Dataset
from training.fit import Fit, assess
from training.networks.resnet import ResNetConfig, build
from training.optimization import acceleration
from training.optimization.average import Average
from training.optimization.player import Player
from training.optimization.schedule import learning_rate
from training.optimization.settings import FitSettings
from training.seeding import seeded
from training.tasks.adversarial import Adversarial
from training.tasks.classification import Classification

PLAIN = FitSettings(epochs=2, batch_size=128, learning_rate=0.1, warmup=0.2)
TINY = ResNetConfig(widths=(8,))
Choice = Literal["auto", "none", "mixed", "compiled", "both"]


def stepped(settings: FitSettings, *gradients: float) -> tuple[float, float]:
    """What a weight and a bias of 1 are after a step by each of `gradients`."""
    layer = nn.Linear(1, 1)
    nn.init.ones_(layer.weight)
    nn.init.ones_(layer.bias)
    player = Player(layer, settings)
    for gradient in gradients:
        player.begin()
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        layer.bias.grad = torch.full_like(layer.bias, gradient)
        player.step(settings.learning_rate)
    return layer.weight.item(), layer.bias.item()


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_every_schedule_rises_to_the_peak_and_never_above(schedule: Literal["cosine", "step", "constant"]) -> None:
    """The warm-up is a straight line; after it no rate is higher than the one before."""
    settings = replace(PLAIN, schedule=schedule)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:20] == pytest.approx([0.1 * (step + 1) / 20 for step in range(20)])
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert 0.1 == max(rates)


def test_steps_fall_where_they_are_asked_and_a_constant_rate_stays() -> None:
    """At each milestone the rate is multiplied by the factor."""
    settings = replace(PLAIN, schedule="step", milestones=(0.5, 0.9), factor=0.5)
    rates = [learning_rate(settings, step, 100) for step in (49, 50, 89, 90, 99)]
    assert [0.1, 0.05, 0.05, 0.025, 0.025] == pytest.approx(rates)
    assert 0.1 == learning_rate(replace(PLAIN, schedule="constant"), 99, 100)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_biases_and_normalisations_do_not_decay(optimizer: Literal["adamw", "sgd"]) -> None:
    """Where the gradient is zero a weight shrinks by rate times decay, and a bias stays."""
    settings = replace(PLAIN, optimizer=optimizer, momentum=0.0, weight_decay=0.5)
    assert [1 - 0.1 * 0.5, 1.0] == pytest.approx(stepped(settings, 0.0))
    norm = nn.BatchNorm1d(3)
    player = Player(norm, settings)
    norm.weight.grad, norm.bias.grad = torch.zeros(3), torch.zeros(3)
    player.step(0.1)
    assert torch.equal(torch.ones(3), norm.weight.detach())


def test_momentum_is_nesterovs() -> None:
    """Two steps by hand: the buffer is 1, then 1.9; each step goes by the gradient and 0.9 of the buffer."""
    settings = replace(PLAIN, optimizer="sgd", momentum=0.9, weight_decay=0.0)
    weight, _ = stepped(settings, 1.0, 1.0)
    assert pytest.approx(1 - 0.1 * (1 + 0.9) - 0.1 * (1 + 0.9 * 1.9)) == weight


@pytest.mark.parametrize("momentum, back", [(0.0, 1.0), (0.9, 0.01 / (1 - 0.81))])
def test_momentum_is_adams_first_decay(momentum: float, back: float) -> None:
    """A step there and one by the opposite gradient: without momentum all the way back, with it hardly."""
    settings = replace(PLAIN, momentum=momentum, weight_decay=0.0)
    weight, _ = stepped(settings, 1.0, -1.0)
    assert pytest.approx(1 - 0.1 + 0.1 * back) == weight


def test_a_long_gradient_is_cut_and_a_short_one_is_not() -> None:
    """Two gradients of 3 have the norm 4.24: cut to norm 1 each is 0.707."""
    settings = replace(PLAIN, optimizer="sgd", momentum=0.0, weight_decay=0.0, clip=1.0)
    assert 1 - 0.1 * math.sqrt(0.5) == pytest.approx(stepped(settings, 3.0)[0], abs=1e-5)
    assert 1 - 0.1 * 0.3 == pytest.approx(stepped(settings, 0.3)[0])


def test_an_average_moves_by_what_the_decay_leaves() -> None:
    """After the first step by nine tenths, later by at most one less the decay; numbers that count are copied."""
    network = nn.BatchNorm1d(1)
    average = Average(network, 0.5)
    nn.init.constant_(network.weight, 2.0)
    network.get_buffer("num_batches_tracked").fill_(7)
    average.update(network, 0)
    assert 1 + 0.9 * 1 == pytest.approx(average.network.get_parameter("weight").item())
    assert 7 == average.network.get_buffer("num_batches_tracked")
    average.update(network, 1000)
    assert 1.9 + 0.5 * 0.1 == pytest.approx(average.network.get_parameter("weight").item())


class Tied(nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.second.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images to two logits, of their first two pixels."""
        logits: torch.Tensor = self.second(self.first(images.flatten(1)[:, 100:102] / 255.0))
        return logits


def test_tied_weights_are_averaged_once_and_kept(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """They have two names and one memory, in the average and in checkpoints too."""
    network = Tied()
    nn.init.zeros_(network.first.weight)
    average = Average(network, 0.5)
    nn.init.ones_(network.first.weight)
    average.update(network, 1000)
    assert torch.equal(torch.full((2, 2), 0.5), average.network.get_parameter("second.weight"))
    few = dataset.train.take(np.flatnonzero(dataset.train.targets < 2))
    batches = Batches(few, size=32, transforms=(), seed=5)
    for epochs in (1, 2):
        settings = replace(PLAIN, epochs=2, average=0.5)
        Fit(network, Classification(), batches, few, settings).run(tmp_path, quiet, stop_after=epochs)
    assert torch.equal(network.first.weight, network.second.weight)


def test_the_average_is_what_is_validated_and_kept(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """The history's last figures are those of the network as it is handed back, which isn't the one that learnt."""

    def ended(average: float) -> nn.Module:
        network = build(TINY, seed=5)
        batches = Batches(dataset.train.take(np.arange(256)), size=128, transforms=(), seed=5)
        settings = replace(PLAIN, learning_rate=0.01, average=average, watch=None)
        folder = tmp_path / str(average)
        folder.mkdir()
        fitted = Fit(network, Classification(), batches, dataset.validation, settings).run(folder, quiet)
        assert fitted.epochs[-1].validation == assess(network, Classification(), dataset.validation)
        return network

    plain, averaged = ended(0.0), ended(0.9)
    assert not torch.equal(plain.get_parameter("head.weight"), averaged.get_parameter("head.weight"))


@pytest.mark.parametrize("watch, best", [("loss", 0), ("accuracy", 2), (None, 3)])
def test_the_watched_metric_says_which_epoch_is_best(
    watch: str | None, best: int, dataset: Dataset, tmp_path: Path, quiet: Console
) -> None:
    """The loss is best when it is smallest, accuracy when it is largest; watching nothing keeps the last epoch."""
    fitted = scripted(dataset, tmp_path, quiet, watch=watch, patience=9)
    assert (4, best) == (len(fitted.epochs), fitted.best)


def test_what_is_watched_stops_the_run(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """After `patience` epochs without a better value, of whichever direction, the run ends."""
    assert 2 == len(scripted(dataset, tmp_path, quiet, watch="loss", patience=1).epochs)


def scripted(dataset: Dataset, folder: Path, quiet: Console, *, watch: str | None, patience: int) -> Any:
    """A fit whose validation is written beforehand: the loss only rises, accuracy is best in the third epoch."""
    script = iter([(1.0, 0.5), (2.0, 0.6), (3.0, 0.9), (4.0, 0.7)])

    class Scripted(Classification):
        def __call__(self, network: nn.Module, batch: Any) -> Any:
            judgement = super().__call__(network, batch)
            if network.training:
                return judgement
            loss, accuracy = next(script, (0.0, 0.0))  # beyond it, the training part is looked at
            return replace(judgement, metrics={"loss": loss, "accuracy": accuracy})

    few = replace(dataset, train=dataset.train.take(np.arange(128)), validation=dataset.validation.take(np.arange(64)))
    batches = Batches(few.train, size=128, transforms=(), seed=5)
    settings = replace(PLAIN, epochs=4, learning_rate=0.01, watch=watch, patience=patience)
    return Fit(build(TINY, seed=5), Scripted(), batches, few.validation, settings).run(folder, quiet)


def test_a_metric_that_there_is_not_is_refused_at_once(dataset: Dataset) -> None:
    """Not after an epoch: the task says beforehand which metrics it has."""
    batches = Batches(dataset.train, size=64, transforms=(), seed=1)
    with pytest.raises(SettingsError, match="watch: there is no metric `f1`; there are loss, accuracy"):
        Fit(build(TINY, seed=1), Classification(), batches, dataset.validation, replace(PLAIN, watch="f1"))


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"accumulate": 0}, "accumulate"),
        ({"momentum": 1.0}, "momentum"),
        ({"average": 1.0}, "average"),
        ({"clip": -1.0}, "clip"),
        ({"factor": 1.0}, "factor"),
        ({"milestones": (0.5, 1.0)}, "milestones"),
        ({"milestones": (0.7, 0.5)}, "ascending order"),
    ],
)
def test_settings_without_a_meaning_are_refused(wrong: dict[str, Any], text: str) -> None:
    """The text names the setting."""
    with pytest.raises(ValueError, match=text):
        FitSettings(epochs=1, **wrong)


def test_a_device_that_lacks_what_is_asked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU without bfloat16, a machine without compiler, one without GPU: each text says what to set instead."""
    monkeypatch.setattr(acceleration, "cpu_flags", lambda: frozenset({"avx2"}))
    mixed = replace(PLAIN, acceleration="mixed")
    with pytest.raises(SettingsError, match="this cpu doesn't compute in bfloat16, so it would be slower; set it"):
        acceleration.Acceleration(mixed)
    monkeypatch.setattr(acceleration, "which", lambda _: None)
    with pytest.raises(SettingsError, match=r"torch needs a C\+\+ compiler \(g\+\+ or clang\+\+\); install it, or set"):
        acceleration.Acceleration(replace(PLAIN, acceleration="compiled"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="device: there is no GPU that torch can use here; set it to cpu"):
        acceleration.Acceleration(replace(PLAIN, device="cuda"))


def test_nothing_is_accelerated_on_a_cpu_unless_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """By default products are float32 there; asked for mixed precision, they are bfloat16."""
    monkeypatch.setattr(acceleration, "cpu_flags", lambda: frozenset({"amx_bf16"}))
    layer, ones = nn.Linear(2, 2), torch.ones(1, 2)
    dtypes: dict[Choice, torch.dtype] = {"auto": torch.float32, "none": torch.float32, "mixed": torch.bfloat16}
    for chosen, dtype in dtypes.items():
        made = acceleration.Acceleration(replace(PLAIN, acceleration=chosen))
        with made.precision():
            assert dtype == layer(ones).dtype
        assert made.ready(layer) is layer


def test_mixed_precision_learns_nearly_the_same(
    dataset: Dataset, tmp_path: Path, quiet: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in bfloat16 isn't the run in float32, but its loss is close, and its weights stay float32."""
    monkeypatch.setattr(acceleration, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    losses = []
    choices: tuple[Choice, ...] = ("none", "mixed")
    for chosen in choices:
        network = build(TINY, seed=5)
        batches = Batches(dataset.train.take(np.arange(256)), size=128, transforms=(), seed=5)
        settings = replace(PLAIN, learning_rate=0.01, acceleration=chosen)
        folder = tmp_path / chosen
        folder.mkdir()
        fitted = Fit(network, Classification(), batches, dataset.validation, settings).run(folder, quiet)
        losses.append(fitted.epochs[-1].train_loss)
        assert {torch.float32} == {weights.dtype for weights in network.parameters()}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_players_are_not_compiled(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their parts are asked one by one, which a compiled whole wouldn't notice; the text says what to set."""
    monkeypatch.setattr(acceleration, "which", lambda name: f"/usr/bin/{name}")
    batches = Batches(dataset.train, size=64, transforms=(), seed=1)
    with pytest.raises(SettingsError, match="parts learn in turns can't be compiled; set it to none"):
        Fit(build(TINY, seed=1), Adversarial(), batches, dataset.validation, replace(PLAIN, acceleration="compiled"))


def test_a_network_without_players_is_refused(dataset: Dataset) -> None:
    """Before anything is learnt; the text names the parts that the task asks for."""
    batches = Batches(dataset.train, size=64, transforms=(), seed=1)
    with pytest.raises(SettingsError, match="task: asks for a network with the parts discriminator, generator, this"):
        Fit(build(TINY, seed=1), Adversarial(), batches, dataset.validation, PLAIN)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own
@pytest.mark.skipif(not any(map(which, acceleration.COMPILERS)), reason="there is no C++ compiler")
def test_a_compiled_network_learns_the_same(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """Its code is made once and computes what the network does; what is handed back is the network as it was built."""

    class Flat(nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images.flatten(1) / 255.0)

    ends = []
    choices: tuple[Choice, ...] = ("none", "compiled")
    for chosen in choices:
        with seeded(5):
            network = Flat(16 * 16, 10)
        batches = Batches(dataset.train.take(np.arange(256)), size=128, transforms=(), seed=5)
        settings = replace(PLAIN, learning_rate=0.01, acceleration=chosen)
        folder = tmp_path / chosen
        folder.mkdir()
        Fit(network, Classification(), batches, dataset.validation, settings).run(folder, quiet)
        ends.append(network.weight.detach())
    assert torch.allclose(ends[0], ends[1], atol=1e-4)
