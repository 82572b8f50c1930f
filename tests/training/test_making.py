"""Which compressed network is quantized."""

from pathlib import Path

import pytest

from tests.training import reports
from training.steps.learning import Facts, Trained
from training.steps.making import _best as best


def trained(variant: str, accuracy: float, multiply_adds: int) -> Trained:
    facts = Facts(
        parent="teacher",
        steps=(variant,),
        widths={},
        parameters=1,
        multiply_adds=multiply_adds,
        validation_accuracy=accuracy,
    )
    return Trained(variant=variant, checkpoint=Path(variant), facts=facts)


@pytest.mark.parametrize(
    "student, pruned, quantized",
    [
        ((0.90, 2_000_000), (0.90, 1_000_000), "pruned"),
        ((0.90, 2_000_000), (0.899, 1_000_000), "pruned"),
        ((0.90, 2_000_000), (0.50, 1_000_000), "student"),
        ((0.50, 1_000_000), (0.90, 2_000_000), "pruned"),
    ],
)
def test_the_smaller_of_networks_that_cannot_be_told_apart(
    student: tuple[float, int], pruned: tuple[float, int], quantized: str
) -> None:
    """Within one standard error of the validation images the fewer multiplications decide, beyond it the accuracy."""
    candidates = [trained("student", *student), trained("pruned", *pruned)]
    assert quantized == best(candidates, reports.dataset()).variant
