"""A run that was stopped and started again ends with the weights of one that never was, whatever its settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from torch import nn
from torch.nn import functional

from training import checkpoint
from training.data.batches import Batches
from training.data.split import Split
from training.data.transforms.mixup import Mixup
from training.data.transforms.noise import Noise
from training.data.transforms.transform import Transform
from training.fit import STATE, Fit
from training.fitted import Fitted
from training.optimization.settings import FitSettings
from training.seeding import seeded
from training.tasks.adversarial import Adversarial
from training.tasks.classification import Classification
from training.tasks.task import Task

CLASSES = 3


class Small(nn.Module):
    """Has a normalisation, which keeps statistics, and drops out, which is left to chance."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, CLASSES)
        )

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [N, 4] to logits [N, 3]."""
        logits: torch.Tensor = self.layers(rows.float())
        return logits


@dataclass(frozen=True)
class Code:
    """Of how many numbers an image is made."""

    code: int = 2


class Pair(nn.Module):
    """A generator of four pixels and a discriminator, both as small as can be."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Code()
        self.generator = nn.Sequential(nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4), nn.Sigmoid())
        self.discriminator = nn.Sequential(nn.Linear(4, 6), nn.LeakyReLU(0.2), nn.Linear(6, 1), nn.Flatten(0))


def rows(count: int, seed: int) -> Split:
    """Rows of three kinds that can be told apart, mostly."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    inputs = (60.0 * labels[:, None] + 40 * random.normal(size=(count, 4))).clip(0, 255).astype(np.uint8)
    return Split(inputs=inputs, targets=labels.astype(np.int64), sources=np.arange(count))


def fit(
    folder: Path,
    told: Mapping[str, Any],
    *,
    task: Task,
    transforms: Sequence[Transform] = (),
    stop_after: int | None = None,
) -> tuple[nn.Module, Fitted]:
    """A run of three epochs of five batches in `folder`."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    with seeded(1):
        network = Pair() if isinstance(task, Adversarial) else Small()
    chosen = FitSettings(epochs=3, batch_size=8, learning_rate=0.02, **told)
    batches = Batches(rows(40, seed=1), size=8, transforms=transforms, seed=9)
    run = Fit(network, task, batches, rows(20, seed=2), chosen)
    return network, run.run(folder, Console(file=StringIO()), stop_after=stop_after)


def same(first: nn.Module, second: nn.Module) -> bool:
    others = second.state_dict()
    return all(torch.equal(value, others[name]) for name, value in first.state_dict().items())


TOLD = st.fixed_dictionaries(
    {
        "optimizer": st.sampled_from(["adamw", "sgd"]),
        "momentum": st.sampled_from([0.0, 0.9]),
        "schedule": st.sampled_from(["cosine", "step", "constant"]),
        "accumulate": st.sampled_from([1, 2, 5, 7]),
        "average": st.sampled_from([0.0, 0.5, 0.99]),
        "clip": st.sampled_from([0.0, 0.1]),
        "watch": st.sampled_from(["loss", None]),
        "patience": st.sampled_from([1, 3]),
    }
)
TASKS = st.sampled_from([Classification(label_smoothing=0.1), Adversarial(smoothing=0.1)])
CHANGES = st.sampled_from([(), (Noise(deviation=0.1), Mixup(classes=CLASSES))])


@settings(max_examples=20, deadline=None, derandomize=True)
@given(told=TOLD, task=TASKS, transforms=CHANGES, stop_after=st.sampled_from([1, 2]))
def test_a_run_in_parts_is_the_run_as_a_whole(
    told: dict[str, Any],
    task: Task,
    transforms: Sequence[Transform],
    stop_after: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Weights, history and checkpoint are the same, byte for byte, wherever the process is in its own chance."""
    folder = tmp_path_factory.mktemp("fit")
    whole, history = fit(folder / "whole", told, task=task, transforms=transforms)
    fit(folder / "parts", told, task=task, transforms=transforms, stop_after=stop_after)
    with seeded(77):
        resumed, other = fit(folder / "parts", told, task=task, transforms=transforms)
    assert same(whole, resumed)
    assert history == other
    assert (folder / "whole" / STATE).read_bytes() == (folder / "parts" / STATE).read_bytes()


def test_training_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    """Dropout and noise draw by the seed of the batches, and put back what they found."""
    before = torch.random.get_rng_state()
    fit(tmp_path / "one", {}, task=Adversarial())
    fit(tmp_path / "two", {}, task=Classification())
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_optimizer_goes_on_from_what_it_remembers(tmp_path: Path, optimizer: str) -> None:
    """A checkpoint without an optimizer's memory would end elsewhere: the property above isn't kept by chance."""
    told = {"optimizer": optimizer}
    whole, _ = fit(tmp_path / "whole", told, task=Classification())
    fit(tmp_path / "parts", told, task=Classification(), stop_after=1)
    forgotten = tmp_path / "parts" / STATE
    tensors, facts = checkpoint.read(forgotten)
    kept = {name: value for name, value in tensors.items() if not name.startswith("optimizer.")}
    assert len(kept) < len(tensors)
    checkpoint.write(forgotten, kept, facts)
    resumed, _ = fit(tmp_path / "parts", told, task=Classification())
    assert not same(whole, resumed)


def test_a_step_of_many_batches_is_one_of_a_large_batch(tmp_path: Path) -> None:
    """Without what looks at a whole batch, four times 8 rows teach what 32 rows teach."""

    class Plain(nn.Linear):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            return functional.linear(rows.float() / 255.0, self.weight, self.bias)

    ends = []
    for number, (size, accumulate) in enumerate([(32, 1), (8, 4)]):
        with seeded(1):
            network = Plain(4, CLASSES)
        chosen = FitSettings(epochs=2, batch_size=size, accumulate=accumulate, optimizer="sgd", learning_rate=0.1)
        batches = Batches(rows(96, seed=1), size=size, transforms=(), seed=9)
        folder = tmp_path / str(number)
        folder.mkdir()
        Fit(network, Classification(), batches, rows(20, seed=2), chosen).run(folder, Console(file=StringIO()))
        ends.append(network.weight.detach())
    assert torch.allclose(ends[0], ends[1], atol=1e-6)
