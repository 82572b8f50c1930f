"""Images are wanted that a discriminator can't tell from those there are."""

from dataclasses import dataclass
from typing import Any, ClassVar

from training.problems.generation import Generation
from training.tasks.adversarial import GENERATOR, Adversarial


@dataclass(frozen=True, kw_only=True)
class AdversarialGeneration(Generation):
    """Generation by the better half of a GAN: its discriminator is of no use afterwards."""

    learns: ClassVar[type[Any]] = Adversarial
    part: ClassVar[str] = GENERATOR
