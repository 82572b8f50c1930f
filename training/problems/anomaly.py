"""Only what is normal is learnt from, and what isn't is to be found out: by how badly it is rebuilt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from service.errors import SettingsError
from training.baselines.principal_components import PrincipalComponents
from training.bootstrap import Figure, Statistic
from training.data.material import Material
from training.data.split import Array, Split
from training.export import BATCH, Signature
from training.metrics import anomaly
from training.metrics.ranking import Ranking
from training.pictures import of_image, of_shares
from training.problems.inputs import SAMPLES, decided_by_pictures, name_of, named
from training.problems.problem import Example, Form, Independent, Scores, figure_of
from training.problems.sizing import Answer
from training.session import Tensors
from training.statistics import Values
from training.tasks.reconstruction import Reconstruction
from training.tasks.task import Better

SCORE, RECONSTRUCTION = "score", "reconstruction"
LIMIT = 1.0
"""The score above which an image is an anomaly."""
LEAST = 1e-12
"""What an error is at least, where a ratio is taken of it."""
AT_ONCE = 256
MOST_EXAMPLES = 12


class Detector(nn.Module):
    """A network that rebuilds images, as it is served: with a score of how strange an image is.

    The score is the mean squared error of its reconstruction as a multiple of `threshold`.
    """

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        self._threshold = threshold

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels uint8 [N, C, H, W] to scores [N, 1] and their reconstruction [N, C, H, W], shares of 255."""
        found = self.network(images)
        error = (found - images.float() / 255.0).square().mean(dim=(1, 2, 3)).unsqueeze(1)
        return error / self._threshold, found


@dataclass(frozen=True, kw_only=True)
class Anomaly(Independent):
    """Served are scores [N, 1], above 1 for what is taken for an anomaly, and reconstructions [N, C, H, W].

    What is 1 is set on the validation part, so that at most the share `false_alarms` of it lies above. The baseline has
    as many principal `components`.
    """

    false_alarms: float = 0.05
    components: int = 8
    learns: ClassVar[type[Any]] = Reconstruction
    headline: ClassVar[str] = "auroc"
    better: ClassVar[Better] = {
        "auroc": "larger",
        "average precision": "larger",
        "detected": "larger",
        "false alarms": "smaller",
    }
    every_class: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < 1 or self.components < 1:
            raise ValueError("false_alarms: must be above 0 and below 1; components: must be at least 1")

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of the images. Raises SettingsError unless those to learn from are all normal, class 0."""
        for name, part in (("train", material.dataset.train), ("validation", material.dataset.validation)):
            if part.targets.any():
                raise SettingsError(f"data: {name}: has anomalies, and only what is normal (class 0) is learnt from")
        return decided_by_pictures(material)

    def task(self, settings: Reconstruction, material: Material) -> Reconstruction:  # noqa: ARG002 - they suit any data
        """The settings as they are."""
        return settings

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """Reconstructions [N, C, H, W]."""
        return Answer(shape=inputs.shape, of="each picture again")

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Images to scores and reconstructions."""
        normal = material.dataset.validation.inputs
        with torch.inference_mode():
            found = torch.cat([network(images) for images in torch.split(torch.from_numpy(normal), AT_ONCE)]).numpy()
        signature = Signature(inputs={name_of(normal): BATCH}, outputs={SCORE: BATCH, RECONSTRUCTION: BATCH})
        module = Detector(network, self._threshold(found, normal))
        return {"detector": Form(module=module, signature=signature, samples=[normal[:SAMPLES]])}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The images themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:  # noqa: ARG002
        """How scores rank, and what the threshold comes to, which is told as a squared error."""
        scores = answers[SCORE][:, 0]
        found = anomaly.measure(scores, split.targets, split.sources, LIMIT)
        # A score is an error as a multiple of the threshold, and reconstructions say which error.
        limit = float(_errors(answers[RECONSTRUCTION], split.inputs).sum() / max(float(scores.sum()), LEAST))
        return Scores(
            figures={
                "auroc": found.auroc,
                "average precision": found.average_precision,
                "detected": figure_of(found.detected),
                "false alarms": figure_of(found.false_alarms),
                "anomalous": _told(found.anomalous),
                "threshold": _told(limit),
            }
        )

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:  # noqa: ARG002
        """How scores rank."""
        ranking = Ranking(answers[SCORE][:, 0], split.targets == 1)
        return lambda chosen: ranking.areas(chosen)[0]

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """The best that a linear autoencoder can do."""
        dataset = material.dataset
        model = PrincipalComponents(dataset.train, components=self.components)
        normal, inputs = dataset.validation.inputs, dataset.test.inputs
        limit, found = self._threshold(model.reconstruct(normal), normal), model.reconstruct(inputs)
        return {"principal components": {SCORE: _errors(found, inputs)[:, None] / limit, RECONSTRUCTION: found}}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """Wrong answers, the one whose score is furthest on the wrong side of the threshold first."""
        scores = np.maximum(answers[SCORE][:, 0].astype(np.float64), LEAST)
        off = np.log(scores) * np.where(split.targets == 1, -1, 1)
        worst = np.argsort(-off, kind="stable")[:MOST_EXAMPLES]
        names = material.dataset.classes
        return tuple(
            Example(
                place=int(place),
                wanted=named(int(split.targets[place]), names),
                answered=f"{named(int(scores[place] > LIMIT), names)} (score {scores[place]:.2f})",
                error=float(off[place]),
                pictures={
                    "input": of_image(split.inputs[place]),
                    RECONSTRUCTION: of_shares(answers[RECONSTRUCTION][place]),
                },
            )
            for place in worst[off[worst] > 0]
        )

    def _threshold(self, found: Array, normal: Array) -> float:
        """Of normal images as they were `found` again, the error that stands for a score of 1."""
        return max(anomaly.threshold(_errors(found, normal), self.false_alarms), LEAST)


def _errors(found: Array, images: Array) -> Values:
    """The mean squared error of each reconstruction [N, C, H, W] of pixels uint8: [N]."""
    apart = found.astype(np.float64) - images / 255.0
    errors: Values = np.square(apart).mean(axis=(1, 2, 3))
    return errors


def _told(value: float) -> Figure:
    """What is no estimate, so that it has no interval."""
    return Figure(value=value, low=value, high=value)
