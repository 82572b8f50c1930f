"""How far answers are apart: by hand, for each task, and in what all have in common."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SettingsError
from tests.training.compression.distillation.kinds import KINDS
from training.compression.distillation.answers import apart, as_logits, check_task, divergence, weights_of
from training.data.batches import Batch
from training.networks.detector import Maps
from training.tasks.adversarial import Adversarial
from training.tasks.classification import Classification
from training.tasks.detection import Detection
from training.tasks.next_token import NextToken
from training.tasks.reconstruction import Reconstruction
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation
from training.tasks.tagging import Tagging

NONE = torch.zeros(1)
LN3 = math.log(3)
APART = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
"""From a half and a half to three quarters and a quarter, which logits of ln 3 and 0 are."""


def near(value: float) -> object:
    return pytest.approx(value, abs=1e-5)


def told(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Found logits of even chances, and wanted ones of three to one, along the first of these axes with size 2."""
    wanted = torch.zeros(shape)
    wanted.select(shape.index(2), 0).fill_(LN3)
    return torch.zeros(shape), wanted


def test_classes_count_by_their_weights() -> None:
    """Two inputs, one of them of a class that counts three times."""
    found, wanted = told(3, 2)
    batch = Batch(inputs=torch.zeros(3, 1), targets=torch.tensor([0, 1, 1]))
    assert near(3 * APART) == apart(Classification(), found, wanted, batch, 1.0).item()
    weighted = Classification(class_weights=(1.0, 3.0))
    assert near(7 * APART) == apart(weighted, found, wanted, batch, 1.0).item()


def test_a_temperature_softens_both_sides() -> None:
    """At 2 the odds of three to one are those of the root of three, and the square of 2 makes up for it."""
    found, wanted = told(1, 2)
    odds = math.sqrt(3) / (1 + math.sqrt(3))
    expected = 4 * (odds * math.log(2 * odds) + (1 - odds) * math.log(2 * (1 - odds)))
    assert near(expected) == divergence(found, wanted, axis=1, temperature=2.0).item()


def test_tokens_are_the_mean_of_their_window() -> None:
    """One input, three tokens: as much as one token."""
    found, wanted = told(1, 3, 2)
    batch = Batch(inputs=torch.zeros(1, 3), targets=torch.zeros(1, 3))
    assert near(APART) == apart(NextToken(), found, wanted, batch, 1.0).item()


def test_tags_that_are_not_there_do_not_count() -> None:
    """Two of three tokens have one; what is answered at the third may be anything."""
    found, wanted = told(1, 3, 2)
    found[0, 2] = 77.0
    found[0, 2, 0] = -77.0
    batch = Batch(inputs=torch.zeros(1, 3), targets=torch.tensor([[0, 1, -100]]))
    assert near(2 * APART) == apart(Tagging(), found, wanted, batch, 1.0).item()
    nothing = Batch(inputs=torch.zeros(1, 3), targets=torch.full((1, 3), -100))
    assert 0 == apart(Tagging(), found, wanted, nothing, 1.0).item()


def test_pixels_are_the_mean_of_their_image() -> None:
    """Two images of 3 x 4 pixels: as much as two pixels."""
    found, wanted = told(5, 2, 3, 4)
    batch = Batch(inputs=torch.zeros(5, 1), targets=NONE)
    assert near(5 * APART) == apart(Segmentation(), found, wanted, batch, 1.0).item()


def test_values_are_judged_as_the_task_does() -> None:
    """Errors of 1 and 4 in a unit of 2: squared 0.25 and 4, by Huber 0.125 and 1.5."""
    found, wanted = torch.tensor([[1.0, 4.0]]), torch.zeros(1, 2)
    batch = Batch(inputs=torch.zeros(1, 1), targets=NONE)
    assert near(4.25 / 2) == apart(Regression(unit=2.0), found, wanted, batch, 9.0).item()
    assert near(1.625 / 2) == apart(Regression(unit=2.0, error="huber"), found, wanted, batch, 9.0).item()


def test_images_are_judged_as_the_task_does() -> None:
    """A pixel of a half where a quarter is wanted."""
    found, wanted = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.25)
    batch = Batch(inputs=torch.zeros(1, 1), targets=NONE)
    assert near(0.0625) == apart(Reconstruction(), found, wanted, batch, 1.0).item()
    expected = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    entropy = Reconstruction(error="cross_entropy")
    assert near(expected) == apart(entropy, found, wanted, batch, 1.0).item()


def test_cells_are_told_apart_and_boxes_compared_where_the_teacher_sees_one() -> None:
    """One cell: even chances of a centre where three to one are wanted, and the same of a side being 0 or 1 away."""
    found = Maps(heat=torch.zeros(1, 1, 1, 1), sides=torch.zeros(1, 8, 1, 1))
    wanted = Maps(heat=torch.full((1, 1, 1, 1), LN3), sides=torch.tensor([LN3, 0.0] * 4).view(1, 8, 1, 1))
    batch = Batch(inputs=torch.zeros(1, 1), targets=torch.zeros(1, 1, 5))
    expected = APART + 0.75 * 0.1 * APART
    assert near(expected) == apart(Detection(sides=0.1), found, wanted, batch, 1.0).item()


@pytest.mark.parametrize("name", KINDS)
def test_equal_answers_have_nothing_to_teach(name: str) -> None:
    """No loss where a student answers as its teacher, and some where another network does."""
    kind = KINDS[name]
    with torch.inference_mode():
        first, second = (kind.network(kind.teacher, seed)(kind.batch.inputs) for seed in (1, 2))
    assert 0 == pytest.approx(apart(kind.task, first, first, kind.batch, 4.0).item(), abs=1e-3)
    assert apart(kind.task, first, second, kind.batch, 4.0) > 1e-3


@pytest.mark.parametrize("name", KINDS)
def test_weights_add_up_to_what_the_loss_is_the_mean_over(name: str) -> None:
    """So what a teacher says and what labels say are means over the same."""
    kind = KINDS[name]
    judgement = kind.task(kind.network(kind.teacher, 1), kind.batch)
    assert pytest.approx(judgement.weight_of(kind.batch)) == weights_of(kind.task, kind.batch).sum().item()


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 8), temperature=st.floats(0.5, 20))
def test_probabilities_teach_what_logits_teach(seed: int, scale: float, temperature: float) -> None:
    """A served classifier answers probabilities: softened, their logarithms are the network's softened logits."""
    random = np.random.default_rng(seed)
    logits, found = (torch.from_numpy(random.normal(size=(4, 5)).astype(np.float32)) * size for size in (scale, 3))
    served = torch.softmax(logits.double(), dim=1)
    expected = divergence(found, logits, axis=1, temperature=temperature)
    assert torch.allclose(expected, divergence(found, served, axis=1, temperature=temperature), rtol=1e-3, atol=1e-3)


def test_logits_stay_as_they_are() -> None:
    """Also where all of them are positive."""
    logits = torch.tensor([[0.4, 0.9]])
    assert as_logits(logits, 1) is logits
    assert torch.isfinite(as_logits(torch.tensor([[0.0, 1.0]]), 1)).all()


def test_a_teacher_of_other_classes_is_refused() -> None:
    """Both shapes stand in the text."""
    batch = Batch(inputs=torch.zeros(5, 1), targets=torch.zeros(5, dtype=torch.int64))
    with pytest.raises(SettingsError, match=r"teacher: answers \[5, 12\], the student \[5, 10\]; classes or vocab"):
        apart(Classification(), torch.zeros(5, 10), torch.zeros(5, 12), batch, 1.0)


def test_what_has_no_teacher_is_refused() -> None:
    """A game is played against each other, and its players' answers aren't compared."""
    with pytest.raises(SettingsError, match="task: Adversarial can't be learnt from a teacher; what can is Classif"):
        check_task(Adversarial())
