"""What is alike is to be found by embeddings, also of classes that were never learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import nn

from service.errors import SettingsError
from training.baselines.pixels import Pixels
from training.bootstrap import Statistic
from training.data.material import Material
from training.data.split import Array, Split
from training.errors import Immeasurable
from training.export import Signature
from training.metrics import retrieval
from training.metrics.distances import distances
from training.metrics.retrieval import Episodes
from training.pictures import of_image
from training.problems.inputs import SAMPLES, axes_of, check_targets, decided_by_inputs, name_of, named
from training.problems.problem import Example, Form, Independent, Scores
from training.problems.sizing import Answer
from training.session import Tensors
from training.tasks.contrastive import Contrastive
from training.tasks.task import Better

EMBEDDING = "embedding"
MAP_AT_R = "map at r"
FEW_SHOT = "few-shot accuracy"
MOST_EXAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class Retrieval(Independent):
    """Served are unit vectors [N, D]; a network that can be given a `width` gets it for D.

    `episodes` say how classes of the test part are told apart after a few examples.
    """

    width: int = 32
    episodes: Episodes = field(default_factory=Episodes)
    learns: ClassVar[type[Any]] = Contrastive
    headline: ClassVar[str] = MAP_AT_R
    better: ClassVar[Better] = {
        **{f"recall at {k}": "larger" for k in retrieval.KS},
        MAP_AT_R: "larger",
        FEW_SHOT: "larger",
    }
    every_class: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError("width: must be at least 1")

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of the inputs, and that embeddings are wanted.

        Raises SettingsError without labels, or if the test part is too small for what is to be measured on it.
        """
        check_targets(material, "labels")
        test = material.dataset.test
        try:
            retrieval.check_labels(test.targets, test.sources)
            retrieval.check_episodes(test.targets, test.sources, self.episodes)
        except Immeasurable as error:
            raise SettingsError(f"problem: the test part: {error}") from error
        return {**decided_by_inputs(material), "embedding": self.width, "outputs": self.width, "head": "embedding"}

    def task(self, settings: Contrastive, material: Material) -> Contrastive:  # noqa: ARG002 - it decides nothing
        """The settings as they are."""
        return settings

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """Whatever the task can compare: how long embeddings are is the network's to say."""
        return None

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Inputs to embeddings."""
        inputs = material.dataset.validation.inputs[:SAMPLES]
        axes = axes_of(network, inputs)
        signature = Signature(inputs={name_of(inputs): axes}, outputs={EMBEDDING: axes[:1]})
        return {"embedder": Form(module=network, signature=signature, samples=[inputs])}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The inputs themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:  # noqa: ARG002
        """Each of the part asked against all others, and prototypes of a few."""
        embeddings = answers[EMBEDDING]
        found = retrieval.measure(embeddings, split.targets, split.sources)
        return Scores(
            figures={
                **{f"recall at {k}": one for k, one in found.recall.items()},
                MAP_AT_R: found.map_at_r,
                FEW_SHOT: retrieval.few_shot(embeddings, split.targets, split.sources, self.episodes),
            }
        )

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:  # noqa: ARG002
        """MAP@R of queries."""
        found = retrieval.found(answers[EMBEDDING], split.targets, split.sources)
        return lambda chosen: found(chosen)[-1]

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """The inputs as their own embeddings."""
        dataset = material.dataset
        return {"pixels": {EMBEDDING: Pixels(dataset.train).predict(dataset.test.inputs)}}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """Inputs whose nearest other one is of another class, first those that one of their own is furthest behind."""
        far = distances(answers[EMBEDDING], answers[EMBEDDING])
        far[split.sources[:, None] == split.sources] = np.inf
        alike = split.targets[:, None] == split.targets
        nearest = far.argmin(axis=1)
        behind = np.where(alike, far, np.inf).min(axis=1) - far.min(axis=1)
        names = material.dataset.classes
        wrong = np.flatnonzero(split.targets[nearest] != split.targets)
        return tuple(
            Example(
                place=int(place),
                wanted=named(int(split.targets[place]), names),
                answered=f"{named(int(split.targets[nearest[place]]), names)}, which is nearest",
                error=float(behind[place]),
                pictures=_pictures(split.inputs[place], split.inputs[nearest[place]]),
            )
            for place in wrong[np.argsort(-behind[wrong], kind="stable")][:MOST_EXAMPLES]
        )


def _pictures(one: Array, nearest: Array) -> Mapping[str, str]:
    return {"input": of_image(one), "nearest": of_image(nearest)} if one.dtype == np.uint8 else {}
