"""What a student learns from its teacher, and how long it practises."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from training.optimization.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class HintSettings:
    """What of a teacher's layers a student's are to be like; the mean over them is added to its loss by its `weight`.

    `features` are what layers put out; where widths differ, a projection is learnt along with the student. `attention`
    is where in an image or a text they are large, whatever their width. `relations` is how much queries, keys and
    values of a transformer's tokens resemble each other. `layers` maps those of the student to those of the teacher, by
    the names of their modules; where none is named, the student's are spread evenly over the depth of the teacher.
    """

    kind: Literal["features", "attention", "relations"]
    weight: float = 1.0
    layers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError("weight: must be positive; leave the hint out instead")


@dataclass(frozen=True, kw_only=True)
class DistilSettings:
    """`temperature` softens the teacher's answers, `soft` is their weight against the labels; `fit` is how to train.

    `hints` are what is learnt from the teacher's layers besides.
    """

    fit: FitSettings
    temperature: float = 4.0
    soft: float = 0.9
    hints: tuple[HintSettings, ...] = ()

    def __post_init__(self) -> None:
        if not self.temperature > 0 or not 0 <= self.soft <= 1:
            raise ValueError("temperature: must be positive; soft: must be a share")
        if self.hints and self.fit.acceleration in {"compiled", "both"}:
            raise ValueError("hints: a compiled network doesn't show its layers; set fit.acceleration to none or mixed")


def completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a recipe, with a section `distil` whose `fit` is the recipe's own but for what it says.

    So are its `students`, beside its network. What isn't a mapping is left to be refused by who reads it.
    """
    whole, distil = dict(settings), settings.get("distil", {})
    if isinstance(distil, Mapping):
        whole["distil"] = {**distil, "fit": _changed(settings.get("fit", {}), distil.get("fit", {}))}
    if isinstance(students := settings.get("students"), list):
        whole["students"] = [_changed(settings.get("network", {}), one) for one in students]
    return whole


def _changed(settings: Any, changes: Any) -> Any:
    """A section with `changes`, if both are mappings, and else what is said last."""
    return {**settings, **changes} if isinstance(settings, Mapping) and isinstance(changes, Mapping) else changes
