"""What a loss is the mean over: classes that weigh differently, and parts of a batch that make the whole."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from tests.training.cells import Cells
from training.data.batches import Batch
from training.data.split import NO_TAG, Split
from training.fit import Fit, assess
from training.optimization.settings import FitSettings
from training.optimization.weighted_sum import WeightedSum
from training.seeding import seeded
from training.tasks.classification import Classification, balanced
from training.tasks.detection import Detection
from training.tasks.tagging import Tagging
from training.tasks.task import Task

WEIGHTS = (0.02, 0.1, 0.4)
WEIGHTED = Classification(class_weights=WEIGHTS, label_smoothing=0.3)
SMOOTHING = 0.3
CUTS = ([1], [1, 14, 15], [7, 7, 20])
"""Where a batch of 24 is cut; the second part of the last is empty."""


def rows(count: int = 24, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn((count, 4), generator=random), torch.randint(classes, (count,), generator=random)


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    """Ids with tags for some, and none at all in the first eight texts."""
    random = torch.Generator().manual_seed(2)
    ids, tags = (torch.randint(most, (24, 5), generator=random) for most in (9, 3))
    tags[torch.rand((24, 5), generator=random) < 0.5] = NO_TAG
    tags[:8] = NO_TAG
    return ids, tags


def scenes() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of noise, with no, one or two objects; the first eight have none."""
    random = torch.Generator().manual_seed(3)
    boxes = torch.tensor([[[0.0, 0, 0, 4, 4], [1.0, 4, 4, 8, 8]]]).repeat(24, 1, 1)
    boxes[torch.rand((24, 2), generator=random) < 0.4, 0] = -1
    boxes[:8, :, 0] = -1
    return torch.randint(256, (24, 1, 8, 8), generator=random, dtype=torch.uint8), boxes


PROBLEMS: dict[str, tuple[Task, Callable[[], nn.Module], tuple[torch.Tensor, torch.Tensor]]] = {
    "plain": (Classification(), lambda: nn.Linear(4, 3), rows()),
    "weighted": (WEIGHTED, lambda: nn.Linear(4, 3), rows()),
    "tags": (Tagging(), lambda: nn.Embedding(9, 3), texts()),
    "boxes": (Detection(), Cells, scenes()),
}


@dataclass(frozen=True)
class Pieces:
    """One batch an epoch, in pieces."""

    pieces: Sequence[Batch]
    seed: int = 1

    def __len__(self) -> int:
        return len(self.pieces)

    def epoch(self, number: int) -> Iterator[Batch]:
        """All of them."""
        yield from self.pieces

    def plain(self, count: int) -> Split:
        """The first ones."""
        inputs, targets = (torch.cat([getattr(piece, name) for piece in self.pieces]) for name in ("inputs", "targets"))
        return split(inputs, targets).take(np.arange(count))


def split(inputs: torch.Tensor, targets: torch.Tensor) -> Split:
    return Split(inputs=inputs.numpy(), targets=targets.numpy(), sources=np.arange(len(inputs)))


def pieces(inputs: torch.Tensor, targets: torch.Tensor, cuts: Sequence[int]) -> list[Batch]:
    """The batch, cut at these places; what is empty is left out."""
    parts = zip(inputs.tensor_split(list(cuts)), targets.tensor_split(list(cuts)), strict=True)
    return [Batch(inputs=one, targets=other) for one, other in parts if len(one)]


def made(make: Callable[[], nn.Module]) -> nn.Module:
    with seeded(3):
        return make()


def entropies(logits: torch.Tensor) -> torch.Tensor:
    return -torch.log_softmax(logits, dim=1)


def test_smoothing_is_by_classes_and_weights_by_labels() -> None:
    """Each input's smoothed cross entropy, by hand, counts by the weight of its label; the metric isn't smoothed."""
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.5, 0.0]])
    found = WEIGHTED(nn.Identity(), Batch(inputs=logits, targets=torch.tensor([0, 2])))
    minus = entropies(logits)
    rows = [(1 - SMOOTHING) * minus[row, label] + SMOOTHING * minus[row].mean() for row, label in ((0, 0), (1, 2))]
    assert float(0.02 * rows[0] + 0.4 * rows[1]) / 0.42 == pytest.approx(found.loss.item(), abs=1e-6)
    assert float(0.02 * minus[0, 0] + 0.4 * minus[1, 2]) / 0.42 == pytest.approx(found.metrics["loss"], abs=1e-6)
    assert 0.42 == pytest.approx(found.weight)


def test_each_of_mixed_labels_counts_by_its_own_weight() -> None:
    """An input that is 0.7 of one class and 0.3 of another is as two inputs that count by these shares."""
    logits = torch.tensor([[2.0, 0.0, -1.0]])
    mixed = WEIGHTED(nn.Identity(), Batch(inputs=logits, targets=torch.tensor([[0.7, 0.0, 0.3]])))
    ones = [WEIGHTED(nn.Identity(), Batch(inputs=logits, targets=torch.tensor([label]))).loss for label in (0, 2)]
    weights = (0.7 * 0.02, 0.3 * 0.4)
    wanted = sum(weight * float(one) for weight, one in zip(weights, ones, strict=True)) / sum(weights)
    assert wanted == pytest.approx(mixed.loss.item(), abs=1e-6)


def test_labels_as_shares_teach_what_labels_do() -> None:
    """Also with weights and smoothing."""
    inputs, labels = rows()
    shares = nn.functional.one_hot(labels, 3).float()
    network = made(lambda: nn.Linear(4, 3))
    found = [WEIGHTED(network, Batch(inputs=inputs, targets=targets)) for targets in (labels, shares)]
    assert found[0].loss.item() == pytest.approx(found[1].loss.item())
    assert found[0].metrics == pytest.approx(found[1].metrics)


def test_a_balanced_and_smoothed_fit_finds_every_class(tmp_path: Path, quiet: Console) -> None:
    """Of two classes that overlap, one has a twentieth of the inputs: no answer is given up for the other."""
    random = torch.Generator().manual_seed(5)
    labels = (torch.arange(400) % 20 == 0).long()
    inputs = torch.randn((400, 2), generator=random) + 2.5 * labels[:, None]
    task = Classification(class_weights=balanced(labels.numpy(), 2), label_smoothing=0.2)
    network = made(lambda: nn.Linear(2, 2))
    settings = FitSettings(epochs=60, learning_rate=0.1, watch=None)
    Fit(network, task, Pieces(pieces(inputs, labels, [])), split(inputs, labels), settings).run(tmp_path, quiet)
    with torch.inference_mode():
        said = network(inputs).argmax(dim=1)
    recalls = [float((said == label)[labels == label].float().mean()) for label in (0, 1)]
    assert min(recalls) > 0.9


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_parts_of_a_batch_add_up_to_the_whole(name: str, cuts: Sequence[int]) -> None:
    """Whatever it is that each counts, and where some count nothing: the loss, and every metric."""
    task, make, (inputs, targets) = PROBLEMS[name]
    network, whole = made(make), Batch(inputs=inputs, targets=targets)
    judged = [(part, task(network, part)) for part in pieces(inputs, targets, cuts)]
    wanted = task(network, whole)
    for metric, value in {"loss": wanted.metrics["loss"], **wanted.metrics}.items():
        parts = [WeightedSum.of(one.metrics[metric], weight=one.weight_of(part, metric)) for part, one in judged]
        assert value == pytest.approx(sum(parts, start=WeightedSum()).mean, rel=1e-5), metric
    losses = [WeightedSum.of(one.loss.item(), weight=one.weight_of(part)) for part, one in judged]
    assert wanted.loss.item() == pytest.approx(sum(losses, start=WeightedSum()).mean, rel=1e-5)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_accumulated_batches_teach_what_one_does(
    name: str, cuts: Sequence[int], tmp_path: Path, quiet: Console
) -> None:
    """However unequal they are: the same weights, training losses and figures."""
    task, make, (inputs, targets) = PROBLEMS[name]
    settings = FitSettings(epochs=4, learning_rate=0.5, watch=None, optimizer="sgd", momentum=0.0)
    ended = []
    for parts in ([Batch(inputs=inputs, targets=targets)], pieces(inputs, targets, cuts)):
        network = made(make)
        fit = Fit(network, task, Pieces(parts), split(inputs, targets), replace(settings, accumulate=len(parts)))
        folder = tmp_path / str(len(parts))
        folder.mkdir()
        ended.append((network.state_dict(), fit.run(folder, quiet)))
    (weights, fitted), (others, found) = ended
    for key, value in weights.items():
        assert torch.allclose(value, others[key], atol=1e-5), key
    assert [epoch.train_loss for epoch in fitted.epochs] == pytest.approx([epoch.train_loss for epoch in found.epochs])
    assert fitted.train == pytest.approx(found.train, rel=1e-4)


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_assessment_is_the_same_by_batches_of_any_size(name: str) -> None:
    """Where some are without anything that counts, or their weights are below 1, too."""
    task, make, (inputs, targets) = PROBLEMS[name]
    network, part = made(make), split(inputs, targets)
    assert assess(network, task, part, batch_size=5) == pytest.approx(assess(network, task, part), rel=1e-5)


def test_validation_weighs_classes_as_training_does() -> None:
    """What is watched is the loss that is lowered, but for its smoothing."""
    inputs, labels = rows()
    network = made(lambda: nn.Linear(4, 3))
    minus, weights = entropies(network(inputs)).detach(), torch.tensor(WEIGHTS)[labels]
    wanted = float((weights * minus[torch.arange(24), labels]).sum() / weights.sum())
    assert wanted == pytest.approx(assess(network, WEIGHTED, split(inputs, labels), batch_size=7)["loss"])


def test_labels_without_weight_teach_nothing() -> None:
    """Of a batch that has only such: no loss, and no gradient that is no number."""
    network = made(lambda: nn.Linear(4, 2))
    task = Classification(class_weights=(0.0, 1.0))
    found = task(network, Batch(inputs=torch.ones(3, 4), targets=torch.zeros(3, dtype=torch.int64)))
    found.loss.backward()  # type: ignore[no-untyped-call]
    assert (0.0, 0.0, 0.0) == (found.loss.item(), found.weight, found.metrics["loss"])
    assert not math.isnan(float(network.get_parameter("weight").grad.sum()))  # type: ignore[union-attr]
