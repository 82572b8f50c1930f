"""Images are wanted that are like those there are: as good, as various, and none of them a copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import nn

from training import checkpoint
from training.baselines.principal_gaussian import PrincipalGaussian
from training.bootstrap import DRAWS, Figure, Resampling
from training.data.material import Material
from training.data.split import Array, Split
from training.export import BATCH, Signature
from training.metrics import generation
from training.metrics.distances import distances
from training.metrics.features import FeatureNetwork
from training.metrics.generation import GenerationFigures
from training.pictures import as_bytes, of_image, of_shares
from training.problems.inputs import SAMPLES, decided_by_pictures, named
from training.problems.problem import Example, Form, Independent, Scores, figure_of
from training.problems.sizing import Answer
from training.problems.viewing import Viewing
from training.session import Tensors
from training.tasks.task import Better
from training.tasks.variational import Variational

NOISE, IMAGE = "noise", "image"
DISTANCE, SCORE = "frechet distance", "class score"
SEED = 0
"""That of what no recipe decides: the noise of parity, and what a baseline draws."""
REAL = Resampling(rounds=100)
"""Of real images beside real ones, which nothing is decided by."""
MOST_EXAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class Generation(Independent):
    """Served is what makes an `image` [N, C, H, W], shares of 255, out of standard normal `noise` [N, code].

    Images are judged by what a classifier of the same images sees in them, which is trained by the settings `viewing`.
    The baseline draws them along as many principal `components`. What real images of the validation part come to is
    told beside: it is a ceiling if that part is as large as the test part.
    """

    components: int = 16
    viewing: Viewing = field(default_factory=Viewing)
    learns: ClassVar[type[Any]] = Variational
    part: ClassVar[str] = "decoder"
    headline: ClassVar[str] = DISTANCE
    better: ClassVar[Better] = {
        DISTANCE: "smaller",
        SCORE: "larger",
        "precision": "larger",
        "recall": "larger",
        "coverage": "larger",
    }
    every_class: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.components < 1:
            raise ValueError("components: must be at least 1")

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of the images; classes are what those are told apart by who judge them."""
        return decided_by_pictures(material)

    def task(self, settings: Any, material: Material) -> Any:  # noqa: ARG002 - they suit any data
        """The settings as they are."""
        return settings

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """Whatever the task can judge."""
        return None

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:  # noqa: ARG002
        """Noise to images, by that part of the network alone."""
        signature = Signature(inputs={NOISE: BATCH}, outputs={IMAGE: BATCH})
        module = network.get_submodule(self.part)
        return {self.part: Form(module=module, signature=signature, samples=[_noise(network, SAMPLES, SEED)])}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:
        """Noise for as many images as there are in `split`."""
        return {NOISE: _noise(network, len(split), seed)}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """The images beside real ones, and what real ones of the validation part come to."""
        assert material.classifier is not None
        view = FeatureNetwork(
            checkpoint.load_network(material.classifier, nn.Module), f"{len(material.dataset.classes)}-class"
        )
        real = view(split.inputs)
        found = generation.measure(real, view(as_bytes(answers[IMAGE])), split.sources, DRAWS)
        ceiling = generation.measure(real, view(material.dataset.validation.inputs), split.sources, REAL)
        told = {f"{name} of real images": figure for name, figure in _figures(ceiling).items()}
        return Scores(figures={**_figures(found), **told}, features=found.features)

    def deciding(self, answers: Tensors, split: Split, material: Material) -> None:  # noqa: ARG002
        """Images that are drawn belong to no input."""
        return

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """A normal distribution of images."""
        dataset = material.dataset
        model = PrincipalGaussian(dataset.train, components=self.components)
        return {"principal gaussian": {IMAGE: model.draw(len(dataset.test), SEED)}}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:  # noqa: ARG002
        """The first ones, each beside the training image that is nearest to it on pixels."""
        made, train = answers[IMAGE][:MOST_EXAMPLES], material.dataset.train
        apart = distances(made.reshape(len(made), -1), train.inputs.reshape(len(train), -1) / 255.0)
        nearest = apart.argmin(axis=1)
        return tuple(
            Example(
                place=place,
                wanted=f"like {named(int(train.targets[near]), material.dataset.classes)}, the nearest to train on",
                answered=f"{apart[place, near]:.2f} from it",
                error=float(apart[place, near]),
                pictures={"generated": of_shares(made[place]), "nearest": of_image(train.inputs[near])},
            )
            for place, near in enumerate(nearest)
        )


def _noise(network: nn.Module, count: int, seed: int) -> Array:
    config: Any = network.config
    return np.random.default_rng(seed).standard_normal((count, config.code)).astype(np.float32)


def _figures(found: GenerationFigures) -> Mapping[str, Figure]:
    return {
        DISTANCE: found.frechet_distance,
        SCORE: found.class_score,
        "precision": figure_of(found.precision),
        "recall": figure_of(found.recall),
        "coverage": found.coverage,
    }
