"""Tasks: losses and metrics as worked out by hand, and a tiny problem that each of them teaches."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from service.errors import SettingsError
from tests.training.cells import Cells
from training.data.batches import Batch
from training.data.split import Split
from training.fit import assess
from training.seeding import seeded
from training.tasks.adversarial import Adversarial
from training.tasks.classification import Classification, balanced
from training.tasks.contrastive import Contrastive
from training.tasks.detection import Detection
from training.tasks.reconstruction import Reconstruction
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation, dice_loss
from training.tasks.tagging import Tagging
from training.tasks.task import Task
from training.tasks.variational import Variational

NONE = torch.zeros(1)


class Told(nn.Module):
    """Answers what it was told, whatever it is shown."""

    def __init__(self, *answers: torch.Tensor) -> None:
        super().__init__()
        self.answers = nn.ParameterList(answers)

    def forward(self, *_: torch.Tensor) -> Any:
        return self.answers[0] if len(self.answers) == 1 else tuple(self.answers)


@dataclass(frozen=True)
class Code:
    """How many numbers an image is made of."""

    code: int = 2


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-5)


def test_classes_weigh_what_they_are_given() -> None:
    """A weighted mean of the cross entropies, which is what validation watches too."""
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    batch = Batch(inputs=NONE, targets=torch.tensor([0, 1]))
    first, second = math.log(1 + math.exp(-2)), math.log(2)
    judgement = Classification(class_weights=(1.0, 3.0))(Told(logits), batch)
    assert near((first + 3 * second) / 4) == judgement.loss.item()
    assert near((first + 3 * second) / 4) == judgement.metrics["loss"]
    assert 0.5 == judgement.metrics["accuracy"]


def test_smoothing_spreads_mass_over_all_classes() -> None:
    """Of two classes the right one keeps 0.9 and the other gets 0.1."""
    judgement = Classification(label_smoothing=0.2)(
        Told(torch.tensor([[2.0, 0.0]])), Batch(inputs=NONE, targets=torch.tensor([0]))
    )
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert near(0.9 * right + 0.1 * wrong) == judgement.loss.item()
    assert near(right) == judgement.metrics["loss"]


def test_labels_may_be_shares() -> None:
    """As mixup makes them: the cross entropy is with all of them, a hit is the largest."""
    targets = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    judgement = Classification()(Told(torch.tensor([[2.0, 0.0], [2.0, 0.0]])), Batch(inputs=NONE, targets=targets))
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert near((1.1 * right + 0.9 * wrong) / 2) == judgement.loss.item()
    assert 0.5 == judgement.metrics["accuracy"]


def test_balanced_weights_make_up_for_counts() -> None:
    """Each class adds up to as much as any other, and the mean over labels is 1; an absent class counts nothing."""
    labels = np.array([0, 0, 0, 1])
    assert [2 / 3, 2.0, 0.0] == pytest.approx(balanced(labels, 3))


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.0, 0.0)])
def test_class_weights_without_a_meaning_are_refused(weights: tuple[float, ...]) -> None:
    """Below zero, or nothing at all."""
    with pytest.raises(ValueError, match="class_weights: must not be below 0, and not all of them 0"):
        Classification(class_weights=weights)


def test_class_weights_for_other_classes_are_refused() -> None:
    """Both numbers stand in the text."""
    with pytest.raises(SettingsError, match="class_weights: there are 3, for 2 classes"):
        Classification(class_weights=(1.0, 1.0, 1.0))(
            Told(torch.zeros(1, 2)), Batch(inputs=NONE, targets=torch.tensor([0]))
        )


def test_a_far_miss_counts_less_to_huber() -> None:
    """Errors of 0.5 and 3: squared they are 0.25 and 9; with delta 1, 0.125 and 2.5."""
    network, batch = Told(torch.tensor([[0.5, 3.0]])), Batch(inputs=NONE, targets=torch.zeros(1, 2))
    squared, huber = Regression()(network, batch), Regression(error="huber", delta=1.0)(network, batch)
    assert near(9.25 / 2) == squared.loss.item()
    assert near(2.625 / 2) == huber.loss.item()
    assert {"loss": near(9.25 / 2), "mae": near(1.75)} == squared.metrics == huber.metrics


def test_errors_are_learnt_in_a_unit_and_told_without() -> None:
    """Targets in other units teach the same if the unit goes with them; what is told is in the targets' own."""
    network, batch = Told(torch.tensor([[5.0, 30.0]])), Batch(inputs=NONE, targets=torch.zeros(1, 2))
    squared, huber = Regression(unit=10.0)(network, batch), Regression(error="huber", unit=10.0)(network, batch)
    assert near(9.25 / 2) == squared.loss.item()
    assert near(2.625 / 2) == huber.loss.item()
    assert {"loss": near(925 / 2), "mae": near(17.5)} == squared.metrics
    with pytest.raises(ValueError, match="delta, unit: must be positive"):
        Regression(unit=0.0)


def test_numbers_of_another_shape_are_refused() -> None:
    """Torch would spread [N, 1] over [N], and teach the mean."""
    with pytest.raises(SettingsError, match=r"the network answers \[4, 1\] numbers, wanted are \[4\]"):
        Regression()(Told(torch.zeros(4, 1)), Batch(inputs=NONE, targets=torch.zeros(4)))


def test_only_tokens_with_a_tag_count() -> None:
    """Two of three tokens are asked for; one is right."""
    logits = torch.tensor([[[2.0, 0.0], [2.0, 0.0], [9.0, 0.0]]])
    judgement = Tagging()(Told(logits), Batch(inputs=NONE, targets=torch.tensor([[0, 1, -100]])))
    right, wrong = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    assert near((right + wrong) / 2) == judgement.loss.item()
    assert (2, 0.5) == (judgement.count, judgement.metrics["accuracy"])
    nothing = Tagging()(Told(logits), Batch(inputs=NONE, targets=torch.full((1, 3), -100)))
    assert (0, 0.0) == (nothing.count, nothing.loss.item())


def test_an_assessment_counts_tags_and_not_texts() -> None:
    """Cut into batches of any size, the figures of a part are the same."""
    random = np.random.default_rng(1)
    tags = np.where(random.random((7, 5)) < 0.5, -100, random.integers(0, 3, (7, 5)))
    split = Split(inputs=random.integers(1, 9, (7, 5)), targets=tags, sources=np.arange(7))
    with seeded(1):
        network = nn.Embedding(9, 3)
    assert assess(network, Tagging(), split, batch_size=2) == pytest.approx(assess(network, Tagging(), split))


def test_an_image_is_wanted_back() -> None:
    """Pixels 0 and 255, rebuilt as a quarter and a half: both errors by hand; no target is looked at."""
    batch = Batch(inputs=torch.tensor([[[[0, 255]]]], dtype=torch.uint8), targets=NONE)
    network = Told(torch.tensor([[[[0.25, 0.5]]]]))
    squared = (0.0625 + 0.25) / 2
    assert near(squared) == Reconstruction()(network, batch).loss.item()
    entropy = Reconstruction(error="cross_entropy")(network, batch)
    assert near(-(math.log(0.75) + math.log(0.5)) / 2) == entropy.loss.item()
    assert near(squared) == entropy.metrics["squared"]


class Echo(nn.Module):
    """Answers what it is shown, and keeps it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 as shares of 255."""
        self.shown = images
        return images.float() / 255.0


def test_images_are_wanted_back_without_their_noise() -> None:
    """The network sees pixels that were changed as much as is asked, and is judged by those that weren't."""
    batch = Batch(inputs=torch.full((1, 1, 64, 64), 128, dtype=torch.uint8), targets=NONE)
    network = Echo()
    with seeded(1):
        found = Reconstruction(noise=0.1)(network, batch)
    assert torch.uint8 == network.shown.dtype
    assert pytest.approx(0.1, rel=0.1) == (network.shown.float() / 255).std().item()
    assert pytest.approx(0.01, rel=0.2) == found.metrics["squared"]
    with pytest.raises(ValueError, match="noise: must not be below 0"):
        Reconstruction(noise=-0.1)


def test_the_evidence_lower_bound_is_that_of_the_paper() -> None:
    """Reconstruction and divergence by their formulas, the latter weighted by beta; nothing diverges from itself."""
    batch = Batch(inputs=torch.tensor([[[[0, 255]]]], dtype=torch.uint8), targets=NONE)
    network = Told(torch.tensor([[[[0.25, 0.5]]]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, math.log(2)]]))
    network.config = Code()  # type: ignore[assignment]
    judgement = Variational(beta=4.0)(network, batch)
    rebuilt, divergence = -(math.log(0.75) + math.log(0.5)), 0.5 * (1 + (2 - 1 - math.log(2)))
    assert {
        "loss": near(rebuilt + 4 * divergence),
        "reconstruction": near(rebuilt),
        "divergence": near(divergence),
    } == judgement.metrics
    same = Told(torch.tensor([[[[0.25, 0.5]]]]), torch.zeros(1, 2), torch.zeros(1, 2))
    same.config = Code()  # type: ignore[assignment]
    assert 0 == Variational()(same, batch).metrics["divergence"]


class Players(nn.Module):
    """A generator that makes one image of a grey, and a discriminator that looks at the first pixel."""

    def __init__(self, grey: float = 0.5) -> None:
        super().__init__()
        self.config = Code()
        self.generator = nn.Sequential(nn.Linear(2, 4), nn.Unflatten(1, (1, 2, 2)), nn.Sigmoid())
        self.discriminator = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
        for weights in self.parameters():
            nn.init.zeros_(weights)
        nn.init.constant_(self.generator.get_parameter("0.bias"), math.log(grey / (1 - grey)))
        with torch.no_grad():
            self.discriminator.get_parameter("1.weight")[0, 0] = 2.0


def test_players_have_losses_that_do_not_saturate() -> None:
    """The discriminator by the real image's logit 2 and the made one's 1; the generator by the latter alone."""
    batch = Batch(inputs=torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), targets=NONE)
    task, network = Adversarial(smoothing=0.1), Players(grey=0.5)
    real = 0.9 * math.log(1 + math.exp(-2)) + 0.1 * math.log(1 + math.exp(2))
    made = math.log(1 + math.exp(1))
    assert near(real + made) == task.judge("discriminator", network, batch).loss.item()
    assert near(math.log(1 + math.exp(-1))) == task.judge("generator", network, batch).loss.item()
    told = task(network, batch).metrics
    assert near(told["loss"]) == told["discriminator"] + told["generator"]


def test_a_discriminators_turn_does_not_teach_the_generator() -> None:
    """The made images are taken as they are; the other way round, the gradient passes through both."""
    batch = Batch(inputs=torch.full((3, 1, 2, 2), 255, dtype=torch.uint8), targets=NONE)
    network = Players()
    Adversarial().judge("discriminator", network, batch).loss.backward()  # type: ignore[no-untyped-call]
    assert all(weights.grad is None for weights in network.generator.parameters())
    assert all(weights.grad is not None for weights in network.discriminator.parameters())
    Adversarial().judge("generator", network, batch).loss.backward()  # type: ignore[no-untyped-call]
    assert all(weights.grad is not None for weights in network.generator.parameters())


def test_dice_is_the_overlap_of_each_class() -> None:
    """Shares are 0 or 1: of four pixels each class has two, of which one is found, and another beside them."""
    masks = torch.tensor([[[0, 0], [1, 1]]])
    found = torch.tensor([[[-1.0, 1.0], [-1.0, 1.0]]])
    logits = torch.stack([-found, found], dim=1) * 50
    overlap = (2 * 1 + 1) / (2 + 2 + 1)
    assert near(1 - overlap) == dice_loss(logits, masks).item()
    batch = Batch(inputs=NONE, targets=masks)
    assert near(1 - overlap) == Segmentation(dice=1.0)(Told(logits), batch).loss.item()
    plain = Segmentation(dice=0.0)(Told(logits / 50), batch)
    assert near(plain.metrics["loss"]) == plain.loss.item()
    assert near((math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2) == plain.loss.item()
    assert 0.5 == plain.metrics["accuracy"]


def test_each_input_chooses_its_own_class_among_all_others() -> None:
    """Three inputs, two of one class: the loss of both choices by hand, and the third, alone, isn't asked."""
    corner = math.sqrt(0.5)
    embeddings = torch.tensor([[1.0, 0.0], [corner, corner], [0.0, 1.0]])
    judgement = Contrastive(temperature=0.5)(Told(embeddings), Batch(inputs=NONE, targets=torch.tensor([4, 4, 2])))
    first = -math.log(math.exp(2 * corner) / (math.exp(2 * corner) + 1))
    second = -math.log(0.5)
    assert near((first + second) / 2) == judgement.loss.item()
    assert 2 == judgement.count
    alone = Contrastive()(Told(embeddings[:1]), Batch(inputs=NONE, targets=torch.tensor([4])))
    alone.loss.backward()  # type: ignore[no-untyped-call]
    assert (0, 0.0) == (alone.count, alone.loss.item())


class Unit(nn.Linear):
    """Rows to embeddings of unit length."""

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(super().forward(rows))


class Drawn(nn.Module):
    """Four pixels through a code that is drawn, and back."""

    def __init__(self) -> None:
        super().__init__()
        self.config = Code()
        self.inwards, self.outwards = nn.Linear(4, 4), nn.Linear(2, 4)

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, log_variance = self.inwards(images.flatten(1) / 255.0).chunk(2, dim=1)
        pixels = torch.sigmoid(self.outwards(mean + torch.exp(0.5 * log_variance) * noise))
        return pixels.view(-1, 1, 2, 2), mean, log_variance


class Shares(nn.Linear):
    """Four pixels to what they were, by weights alone."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(super().forward(images.flatten(1) / 255.0)).view(-1, 1, 2, 2)


def lines(count: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows float32 [N, 4] and their labels, which a line tells apart."""
    rows = torch.randn((count, 4), generator=torch.Generator().manual_seed(1))
    return rows, (rows[:, 0] > 0).long()


def pictures(side: int, count: int = 32) -> torch.Tensor:
    bright = torch.rand((count, 1, side, side), generator=torch.Generator().manual_seed(1)) > 0.7
    return bright.to(torch.uint8) * 255


BOXES = torch.tensor([[[0.0, 0, 0, 4, 4], [1.0, 4, 4, 8, 8]]]).repeat(32, 1, 1)
PROBLEMS: dict[str, tuple[Task, Callable[[], nn.Module], torch.Tensor, torch.Tensor]] = {
    "classification": (Classification(), lambda: nn.Linear(4, 2), *lines()),
    "regression": (Regression(), lambda: nn.Linear(4, 2), lines()[0], lines()[0][:, :2] * 3),
    "huber": (Regression(error="huber"), lambda: nn.Linear(4, 2), lines()[0], lines()[0][:, :2] * 3),
    "tagging": (
        Tagging(),
        lambda: nn.Embedding(9, 3),
        torch.arange(32).view(4, 8) % 9,
        torch.arange(32).view(4, 8) % 3,
    ),
    "reconstruction": (Reconstruction(), lambda: Shares(4, 4), pictures(2), NONE),
    "variational": (Variational(), Drawn, pictures(2), NONE),
    "segmentation": (
        Segmentation(),
        lambda: nn.Sequential(nn.Conv2d(1, 2, 1)),
        pictures(4).float() / 255.0,
        pictures(4)[:, 0].long() // 255,
    ),
    "detection": (Detection(), Cells, pictures(8), BOXES),
    "contrastive": (Contrastive(), lambda: Unit(4, 3), *lines()),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_a_task_asks_can_be_learnt(name: str) -> None:
    """Within a hundred steps the loss falls by a good part, and every weight had a gradient."""
    task, make, inputs, targets = PROBLEMS[name]
    with seeded(3):
        network = make()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
        batch = Batch(inputs=inputs, targets=targets)
        losses = []
        for _ in range(100):
            optimizer.zero_grad()
            judgement = task(network, batch)
            judgement.loss.backward()  # type: ignore[no-untyped-call]
            losses.append(float(judgement.loss.detach()))
            assert all(weights.grad is not None for weights in network.parameters())
            assert set(task.better) == set(judgement.metrics)
            optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_a_generator_learns_what_the_discriminator_knows() -> None:
    """Turn by turn, what is made comes close to what is real: all pixels bright."""
    task, network = Adversarial(), Players(grey=0.2)
    batch = Batch(inputs=torch.full((16, 1, 2, 2), 230, dtype=torch.uint8), targets=NONE)
    optimizers = {turn: torch.optim.Adam(network.get_submodule(turn).parameters(), lr=0.05) for turn in task.turns}
    with seeded(1):
        for _ in range(200):
            for turn, optimizer in optimizers.items():
                optimizer.zero_grad()
                task.judge(turn, network, batch).loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        made = network.generator(torch.randn(64, 2))
    assert 0.9 == pytest.approx(float(made.detach().mean()), abs=0.2)
