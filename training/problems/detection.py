"""Things are to be found: what they are, and the boxes that they lie in."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from service.errors import SettingsError
from training.baselines.components import Components
from training.bootstrap import Statistic
from training.data.material import Material
from training.data.split import NO_BOX, Array, Split
from training.export import BATCH, Signature
from training.metrics import detection
from training.metrics.detection import overlaps
from training.networks.detector import STRIDE, Boxes, Detector
from training.pictures import of_boxes
from training.problems.inputs import SAMPLES, check_targets, decided_by_inputs, name_of
from training.problems.problem import Example, Form, Independent, Scores, Slices
from training.problems.sizing import Answer
from training.session import Tensors
from training.tasks.detection import Detection as Task
from training.tasks.task import Better

BOXES = "boxes"
SURE = 0.3
"""Boxes with a lower score aren't shown, as CenterNet does not; figures are of all of them."""
MOST_EXAMPLES = 12


@dataclass(frozen=True, kw_only=True)
class Detection(Independent):
    """Served are boxes [N, M, 6]: class, score, x0, y0, x1, y1 in pixels, the likeliest first, and class -1 where there
    are fewer than M.
    """

    learns: ClassVar[type[Any]] = Task
    headline: ClassVar[str] = "map50"
    better: ClassVar[Better] = {"map50": "larger", "map": "larger"}
    every_class: ClassVar[bool] = True

    def decided(self, material: Material) -> Mapping[str, Any]:
        """Shape and moments of the pictures, and how many classes there are. Raises SettingsError without boxes."""
        check_targets(material, "boxes")
        return {**decided_by_inputs(material), "classes": len(material.dataset.classes)}

    def task(self, settings: Task, material: Material) -> Task:  # noqa: ARG002 - the data says nothing of it
        """The settings."""
        return settings

    def answer(self, network: nn.Module, inputs: Array, material: Material) -> Answer | None:  # noqa: ARG002
        """The maps of a detector, which the task knows. Raises SettingsError if it can't tell boxes of that size."""
        reach = _detector(network).config.reach
        boxes = material.dataset.train.targets.reshape(-1, 5)
        real = boxes[boxes[:, 0] != NO_BOX]
        # From the middle of the cell that a centre lies in, which is up to half a cell off.
        furthest = math.ceil(float((real[:, 3:] - real[:, 1:3]).max(initial=0.0)) / 2 + STRIDE / 2)
        if furthest > reach - 1:
            text = f"a side of a box of the training part lies up to {furthest} from its centre's cell"
            least = f"set it to {furthest + 1}"
            raise SettingsError(f"network.reach: sides are told up to {reach - 1} pixels away, and {text}; {least}")
        return None

    def forms(self, network: nn.Module, material: Material) -> Mapping[str, Form]:
        """Pictures to boxes. Raises SettingsError if the network isn't one whose boxes are known."""
        inputs = material.dataset.validation.inputs[:SAMPLES]
        signature = Signature(inputs={name_of(inputs): BATCH}, outputs={BOXES: BATCH})
        return {"detector": Form(module=Boxes(_detector(network)), signature=signature, samples=[inputs])}

    def requests(self, network: nn.Module, split: Split, seed: int) -> Tensors:  # noqa: ARG002 - nothing is drawn
        """The pictures themselves."""
        return {name_of(split.inputs): split.inputs}

    def measure(self, answers: Tensors, split: Split, material: Material) -> Scores:
        """Mean average precision at an overlap of 0.5 and, as COCO has it, over 0.5 to 0.95; and each class by itself.

        The first decides: of a thing that is a dozen pixels wide, 0.95 asks for fractions of one.
        """
        found = detection.measure(answers[BOXES], split.targets, split.sources, material.dataset.classes)
        averages = {"map50": found.at_50, "map": found.at_50_95}
        return Scores(
            figures={name: one.mean for name, one in averages.items()},
            by={name: one.each for name, one in averages.items()},
        )

    def deciding(self, answers: Tensors, split: Split, material: Material) -> Statistic:
        """The mean over classes at an overlap of 0.5."""
        precisions = _precisions(answers, split, material)
        return lambda chosen: precisions(chosen)[0, 0]

    def slices(self, answers: Tensors, split: Split, material: Material) -> Slices:
        """Each class at that overlap."""
        precisions = _precisions(answers, split, material)
        return Slices(
            figure="map50", names=material.dataset.classes, statistic=lambda chosen: precisions(chosen)[0, 1:]
        )

    def baselines(self, material: Material) -> Mapping[str, Tensors]:
        """What is found without a network."""
        dataset = material.dataset
        model = Components(dataset.train, classes=len(dataset.classes))
        return {"connected components": {BOXES: model.predict(dataset.test.inputs)}}

    def examples(self, answers: Tensors, split: Split, material: Material) -> Sequence[Example]:
        """The pictures with the most that was missed, found where it isn't, or not covered."""
        names = material.dataset.classes
        wanted = [boxes[boxes[:, 0] != NO_BOX] for boxes in split.targets]
        found = [boxes[boxes[:, 1] >= SURE] for boxes in answers[BOXES]]
        errors = np.array([_apart(*pair) for pair in zip(wanted, found, strict=True)])
        return tuple(
            Example(
                place=int(place),
                wanted=", ".join(names[int(kind)] for kind in wanted[place][:, 0]) or "nothing",
                answered=", ".join(f"{names[int(kind)]} ({score:.0%})" for kind, score in found[place][:, :2])
                or "nothing",
                error=float(errors[place]),
                pictures={
                    "wanted": of_boxes(split.inputs[place], wanted[place], names),
                    "found": of_boxes(split.inputs[place], np.delete(found[place], 1, axis=1), names),
                },
            )
            for place in np.argsort(-errors, kind="stable")[:MOST_EXAMPLES]
        )


def _precisions(answers: Tensors, split: Split, material: Material) -> Statistic:
    return detection.precisions(answers[BOXES], split.targets, material.dataset.classes, detection.OVERLAPS[:1])


def _apart(wanted: Array, found: Array) -> float:
    """How much of boxes [M, 5] and of those found [P, 6] isn't covered by the best of the others of its class, summed
    up: a box without any counts 1.
    """
    shared = overlaps(wanted[:, 1:], found[:, 2:]) * (wanted[:, :1] == found[None, :, 0])
    return float((1 - shared.max(axis=1, initial=0)).sum() + (1 - shared.max(axis=0, initial=0)).sum())


def _detector(network: nn.Module) -> Detector:
    """The network itself. Raises SettingsError if it isn't one whose boxes are known."""
    if not isinstance(network, Detector):
        raise SettingsError("network: what detection serves is made of one of kind `detector`, and this is another")
    return network
