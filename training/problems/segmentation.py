"""Every pixel is of exactly one class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from service.errors import SettingsError
from training.baselines.baseline import Baseline
from training.baselines.majority_pixel import MajorityPixel
from training.baselines.pixel_discriminant import PixelDiscriminant
from training.bootstrap import Statistic
from training.data.material import Material
from training.data.split import Array, Labels, Split
from training.export import BATCH, Signature
from training.metrics import segmentation
from training.pictures import of_image, of_mask
from training.problems.inputs import SAMPLES, check_targets, decided_by_inputs, name_of, named
from training.problems.problem import Example, Form, Independent, Scores, Slices
from training.problems.sizing import Answer
from training.session import Tensors
from training.statistics import Values, tally
from training.tasks.segmentation import Segmentation as Task
from training.tasks.task import Better

MASK = "mask"
MOST_CLASSES = 256
"""What the bytes of a mask tell apart."""
MOST_EXAMPLES = 12


class Mask(nn.Module):
    """A network with logits of pixels as it is served: its classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, C, H, W] to the likeliest class of each, uint8 [N, H, W]."""
        found: torch.Tensor = self.network(images).argmax(dim=1).to(torch.uint8)
        return found


@dataclass(frozen=True, kw_only=True)
class Segmentation(Independent):
    """Served are masks uint8 [N, H, W], a byte a pixel; probabilities would be four for each class."""

    learns: ClassVar[type[Any]] = Task
    headline: ClassVar[str] = "miou"
    better: ClassVar[Better] = {"miou": "larger", "dice": "larger", "accuracy": "larger"}
    every_class: ClassVar[bool] = True

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of the pictures, and how many classes there are.

        Raises SettingsError without masks, or if they have too many classes.
        """
        check_targets(material, "masks")
        classes = len(material.dataset.classes)
        if classes > MOST_CLASSES:
            raise SettingsError(f"problem: masks of {classes} classes don't fit into bytes; {MOST_CLASSES} do")
        return {**decided_by_inputs(material), "classes": classes}

    def task(self, settings: Task, material: Material) -> Task:  # noqa: ARG002 - the data says nothing of it
        """The settings."""
        return settings

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """Logits [N, classes, H, W]."""
        count = len(material.dataset.classes)
        shape = (len(inputs), count, *inputs.shape[2:])
        return Answer(shape=shape, of=f"for each pixel a logit for each of {count} classes")

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Pictures to masks."""
        inputs = material.dataset.validation.inputs[:SAMPLES]
        signature = Signature(inputs={name_of(inputs): BATCH}, outputs={MASK: BATCH})
        return {"segmenter": Form(module=Mask(network), signature=signature, samples=[inputs])}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The pictures themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """Means over classes, and each class by itself, of all pixels of the part together."""
        predictions = answers[MASK].astype(np.int64)
        found = segmentation.measure(predictions, split.targets, split.sources, material.dataset.classes)
        return Scores(
            figures={"miou": found.iou.mean, "dice": found.dice.mean, "accuracy": found.accuracy},
            by={"iou": found.iou.each, "dice": found.dice.each},
        )

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:
        """The mean over classes."""
        shared = _overlaps(answers, split, material)
        return lambda chosen: shared(chosen)[0, 0]

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices:
        """Each class."""
        shared = _overlaps(answers, split, material)
        return Slices(figure="iou", names=material.dataset.classes, statistic=lambda chosen: shared(chosen)[0, 1:])

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """The commonest class everywhere, and a linear model of what is around each pixel."""
        dataset = material.dataset
        models: dict[str, Baseline] = {
            "majority class": MajorityPixel(dataset.train),
            "linear discriminant": PixelDiscriminant(dataset.train),
        }
        return {name: {MASK: model.predict(dataset.test.inputs)} for name, model in models.items()}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """The pictures that share the least with their masks, class by class."""
        names = material.dataset.classes
        found = answers[MASK].astype(np.int64)
        errors = 1 - _shared(found, split.targets, len(names))
        return tuple(
            Example(
                place=int(place),
                wanted=_told(split.targets[place], names),
                answered=_told(found[place], names),
                error=float(errors[place]),
                pictures={
                    "input": of_image(split.inputs[place]),
                    "wanted": of_mask(split.targets[place]),
                    "found": of_mask(found[place]),
                },
            )
            for place in np.argsort(-errors, kind="stable")[:MOST_EXAMPLES]
        )


def _overlaps(answers: Tensors, split: Split, material: Material) -> Statistic:
    return segmentation.shared(answers[MASK].astype(np.int64), split.targets, material.dataset.classes)


def _shared(found: Labels, wanted: Labels, classes: int) -> Values:
    """The mIoU of each picture by itself, [N], over the classes that either of the masks [N, H, W] has."""
    count = len(wanted)
    right, said, support = np.moveaxis(tally(found.reshape(count, -1), wanted.reshape(count, -1), classes), 1, 0)
    either = said + support - right
    shares: Values = (right / np.maximum(either, 1)).sum(axis=1) / (either > 0).sum(axis=1)
    return shares


def _told(mask: Labels, names: tuple[str, ...]) -> str:
    """The classes of a mask but the first, which is the background, and how many pixels each has."""
    kinds, counts = np.unique(mask[mask > 0], return_counts=True)
    told = (f"{named(int(kind), names)} ({count} px)" for kind, count in zip(kinds, counts, strict=True))
    return ", ".join(told) or names[0]
