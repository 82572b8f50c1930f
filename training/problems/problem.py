"""The contract between the story of a network and the problem that it solves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from training.bootstrap import DRAWS, Figure, Resampling, Statistic
from training.data.material import Material
from training.data.split import Array, Split
from training.export import Signature
from training.metrics.classification import Bin
from training.problems.sizing import Answer
from training.session import Arrays, Tensors
from training.statistics import Share
from training.tasks.task import Better


@dataclass(frozen=True, kw_only=True)
class Form:
    """A network as it is served: `module`, the names of its tensors, and `samples` of each input [N, ...] for parity.

    `labels` are the outputs whose last axis has the classes of the data. `states` are the inputs that a server keeps
    for a sequence, each with the output that it becomes.
    """

    module: nn.Module
    signature: Signature
    samples: Arrays
    labels: tuple[str, ...] = ()
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What a model comes to on a test part: single `figures`, and those `by` class, tag or horizon, all by name.

    Where there are classes, `confusion` has a row for each true class and a column for each answer. Where there are
    thresholds, `roc` has a curve for each class: shares of false alarms and of hits. Where there are confidences,
    `calibration` says what they are worth. `features` names the network by whose eyes images were judged, where they
    were: figures by others can't be compared.
    """

    figures: Mapping[str, Figure]
    by: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    features: str = ""
    roc: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    calibration: tuple[Bin, ...] = ()


def figure_of(share: Share) -> Figure:
    """A share as one figure among others."""
    return Figure(value=share.value, low=share.low, high=share.high)


@dataclass(frozen=True, kw_only=True)
class Slices:
    """What a test part consists of, by `names`: classes, tags, horizons; and their `figure` [K] of any draw of it.

    The same as `Scores.by` has it.
    """

    figure: str
    names: tuple[str, ...]
    statistic: Statistic


@dataclass(frozen=True, kw_only=True)
class Example:
    """An input of the test part by its `place`: what was `wanted`, what was `answered`, in words, and how far off.

    `pictures` show it, where there is something to see: data addresses by what they show.
    """

    place: int
    wanted: str
    answered: str
    error: float
    pictures: Mapping[str, str] = field(default_factory=dict)


class Problem(Protocol):
    """One kind of problem. Its fields are what a recipe sets of it; nothing else is kept."""

    learns: ClassVar[type[Any]]
    """The class of the task's settings, a `training.tasks.task.Task`."""
    headline: ClassVar[str]
    """The figure that decides whether a model is better than another."""
    better: ClassVar[Better]
    """Which of two values of a figure is the better one; those that aren't there are only told."""
    every_class: ClassVar[bool]
    """Whether the training part should have something of every class."""

    def decided(self, material: Material) -> Mapping[str, Any]:
        """What the data decides of a network's config, by field; a config takes those that it has."""
        ...

    def task(self, settings: Any, material: Material) -> Any:
        """The task that `settings`, of the class `learns`, come to with this data."""
        ...

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:
        """What `inputs` [N, ...] have to be answered with; None where the task alone knows.

        Raises SettingsError if the network can't be served as an answer to this problem.
        """
        ...

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """The network as it is served, by variant: the first one is measured, all are published."""
        ...

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:
        """What the first form is asked, to be measured on `split`: inputs [N, ...] by name."""
        ...

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """The scores on `split` of `answers` [N, ...], of the first form or of a baseline. Raises Immeasurable."""
        ...

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic | None:
        """The headline figure [] of any draw of `split`, for two models to be compared on the same draws.

        None where an answer isn't one to an input of the split, so that draws of both aren't pairs.
        """
        ...

    def right(self, answers: Tensors, split: Split) -> NDArray[np.bool_] | None:
        """Which inputs of `split` are answered rightly, [N]; None where answers aren't right or wrong."""
        ...

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices | None:
        """The figure of each class or the like, for two models to be compared in each; None where there is one."""
        ...

    def resampling(self, split: Split) -> Resampling:
        """How `split` is drawn anew for intervals."""
        ...

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """What has to be beaten, by name: its answers to the test part."""
        ...

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """The answers that are furthest off, the worst first; without errors, some answers."""
        ...


class Independent:
    """A problem, one source of which says nothing of another; what else most problems have in common."""

    def right(self, answers: Tensors, split: Split) -> NDArray[np.bool_] | None:  # noqa: ARG002 - classifiers know
        """See `Problem`: answers are more or less good."""
        return None

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices | None:  # noqa: ARG002 - as above
        """See `Problem`: there is one."""
        return None

    def resampling(self, split: Split) -> Resampling:  # noqa: ARG002 - where neighbours are alike it decides
        """Source by source."""
        return DRAWS
