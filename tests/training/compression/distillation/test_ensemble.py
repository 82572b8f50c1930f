"""Several teachers: what they answer together is what the mean over them is, whatever the task."""

import torch
from torch import nn

from tests.training.compression.distillation.test_task import BATCH, Fixed, logits
from training.compression.distillation.answers import united
from training.compression.distillation.ensemble import Ensemble
from training.compression.distillation.task import Distillation
from training.data.batches import Batch
from training.networks.catalogue import build
from training.networks.mlp import MLPConfig
from training.tasks.classification import Classification
from training.tasks.contrastive import Contrastive
from training.tasks.detection import Detection


def test_together_they_give_the_geometric_mean_of_probabilities() -> None:
    """Of logits that is the mean, whichever constant each of them adds to its own."""
    one, two = logits(1), logits(2) + 5
    found = united(Classification(), [one, two]).softmax(dim=1)
    product = (one.softmax(dim=1) * two.softmax(dim=1)).sqrt()
    torch.testing.assert_close(found, product / product.sum(dim=1, keepdim=True))


def test_inputs_are_alike_as_in_the_mean_over_embeddings() -> None:
    """Each network's embeddings may be turned as they like: their mean would mean nothing, what is alike stays."""
    one, two = (nn.functional.normalize(logits(seed)) for seed in (1, 2))
    turned, _ = torch.linalg.qr(torch.randn(10, 10, generator=torch.Generator().manual_seed(3)))
    found = united(Contrastive(), [one, two @ turned])
    torch.testing.assert_close(found @ found.T, (one @ one.T + two @ two.T) / 2)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(5))


def test_of_several_answers_each_has_its_mean() -> None:
    """A detector's heat and its sides."""
    heat, sides = (torch.stack([logits(seed), logits(seed + 1)]) for seed in (1, 3))
    found = united(Detection(), list(zip(heat, sides, strict=True)))
    torch.testing.assert_close(found, (heat.mean(dim=0), sides.mean(dim=0)))


def test_a_student_learns_from_all_of_them() -> None:
    """Its loss is that by the mean of their logits; one who agrees with that has nothing to learn."""
    config = MLPConfig(features=64, outputs=10, widths=(8,))
    members = [build(config, seed) for seed in (1, 2, 3)]
    whole = Ensemble(members, Classification())
    task = Distillation(task=Classification(), teacher=whole, temperature=2, soft=1)
    batch = Batch(inputs=logits(4, size=2.0).repeat(1, 7)[:, :64], targets=BATCH.targets)
    answers = [member(batch.inputs).detach() for member in members]
    agreed = torch.stack(answers).mean(dim=0)
    assert abs(task(Fixed(agreed), batch).loss.item()) < 1e-6
    assert all(task(Fixed(answer), batch).loss.item() > 1e-3 for answer in answers)


def test_it_says_what_its_members_are() -> None:
    """By its config it is held against a student, whose data must be the same; its members are evaluated."""
    config = MLPConfig(features=3, outputs=2, widths=(4,), norm="batch")
    whole = Ensemble([build(config, seed) for seed in (1, 2)], Classification())
    assert config == whole.config
    assert not any(module.training for module in whole.eval().modules())
    assert (5, 2) == whole(torch.zeros(5, 3)).shape
