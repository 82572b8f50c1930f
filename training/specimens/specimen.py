"""The contract between a search for variants and what it compresses."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeAlias

from training.comparison import Against
from training.compression.search.design import Design, Network
from training.problems.problem import Scores
from training.publish import Release
from training.runtime import Runtime
from training.serving import Served
from training.session import Tensors
from training.steps.integers import LearntIntegers
from training.steps.journal import Journal
from training.timing import EvaluateSettings, Predictor

Part: TypeAlias = Literal["validation", "test"]
"""Inputs that trials are judged on, and those that say in the end what was found."""


class Specimen(Protocol):
    """Something that has a file in floating point, which is the teacher, and knows what its variants are worth."""

    @property
    def journal(self) -> Journal[Any]:
        """What it was made in, and variants are."""
        ...

    @property
    def headline(self) -> str:
        """The figure that decides."""
        ...

    @property
    def smaller(self) -> bool:
        """Whether the smaller of two values of it is the better one."""
        ...

    @property
    def doubt(self) -> str:
        """Why its figures say little, where they do; else nothing."""
        ...

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """What may compute it, the usual one first."""
        ...

    @property
    def routes(self) -> Mapping[str, Sequence[str]]:
        """How smaller networks can be had, and the remedies of each route; none where nothing can be learnt."""
        ...

    @property
    def first(self) -> Sequence[Network]:
        """See `Subject`."""
        ...

    @property
    def aware(self) -> bool:
        """Whether its networks can be trained for integers."""
        ...

    @property
    def settings(self) -> EvaluateSettings:
        """How long to measure."""
        ...

    @property
    def code(self) -> Sequence[ModuleType]:
        """What decides how variants are measured, besides what all are measured by."""
        ...

    def decides(self, part: Part) -> Mapping[str, Any]:
        """What else decides the figures on a part, for the key of a step."""
        ...

    def floating(self, network: Network) -> Path:
        """The ONNX file of a network. Raises SettingsError if there is none of that size, Diverged, and TimeUp."""
        ...

    def integers(self, network: Network) -> LearntIntegers:
        """A network trained for integers. Raises as `floating` does; `aware` says whether there are any."""
        ...

    def samples(self, network: Network) -> Tensors:
        """Inputs [N, ...] of the file of a network that ranges are learnt from: of the training part."""
        ...

    def shown(self, network: Network) -> Tensors:
        """Inputs [N, ...] of the file of a network as it computes them when it is served, by which is told what ran."""
        ...

    def counted(self, rows: int) -> str:
        """So many rows of those, in words."""
        ...

    def release(self, design: Design, model: Path) -> Release:
        """A variant as a model version that can be served, under a name of its own."""
        ...

    def forms(self, network: Network) -> Mapping[str, Release]:
        """What else a network is served as, by the form's name: in floating point, compared with it, not measured."""
        ...

    def requests(self, part: Part) -> Tensors:
        """What is asked while it is timed: inputs [N, ...]."""
        ...

    def predictor(self, served: Served) -> Predictor:
        """Whatever answers such requests."""
        ...

    def answers(self, served: Served, design: Design, model: Path, part: Part) -> Tensors:
        """What a variant, whose file is `model`, makes of a part: what it is judged by."""
        ...

    def score(self, answers: Tensors, teacher: Tensors, part: Part) -> float:
        """The headline figure, where the teacher's answers are known."""
        ...

    def scores(self, answers: Tensors, teacher: Tensors) -> Scores:
        """What answers to the test part come to, the headline figure among it, with intervals."""
        ...

    def against(self, answers: Tensors, rival: Tensors, teacher: Tensors) -> Against | None:
        """The same beside those of another variant, input by input; None where that can't be, or says nothing."""
        ...


def inputs(rows: int) -> str:
    """See `Specimen.counted`, where each is an input."""
    return "one input" if rows == 1 else f"{rows} inputs"
