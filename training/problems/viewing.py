"""Problems whose images are judged by what a classifier of the same images sees in them."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from training.optimization.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class Viewing:
    """How that classifier, a residual network of these `widths`, is trained; the last one is how much it sees."""

    widths: tuple[int, ...] = (16, 32)
    fit: FitSettings = field(default_factory=lambda: FitSettings(epochs=12, learning_rate=0.01, patience=12))


@runtime_checkable
class Viewed(Protocol):
    """A problem that has to have such a classifier, in `Material.classifier`, before anything is measured."""

    @property
    def viewing(self) -> Viewing:
        """How it is trained."""
        ...
