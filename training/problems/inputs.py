"""What all problems say of the data: what inputs and targets are called, axes, and what decides of a network."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
from torch import nn

from service.errors import SettingsError
from training.data.material import Material
from training.data.moments import moments
from training.data.split import Array
from training.export import BATCH, LENGTH
from training.networks.catalogue import kind_of
from training.pictures import of_image

SAMPLES = 64
"""Inputs that parity is checked on."""
LENGTHY = ("encoder", "recurrent")
"""The kinds of networks that take sequences of any length."""

Wanted: TypeAlias = Literal["labels", "values", "tags", "masks", "boxes"]
TARGETS: Mapping[Wanted, tuple[str, str]] = {
    "labels": ("int64 [N]", "classification"),
    "values": ("float32 [N, K]", "regression"),
    "tags": ("int64 [N, T]", "tagging"),
    "masks": ("int64 [N, H, W]", "segmentation"),
    "boxes": ("float32 [N, M, 5]", "detection"),
}
"""What targets are called, their datatype and axes, and the problem that they are for."""
WHOLE: Mapping[int, Wanted] = {1: "labels", 2: "tags", 3: "masks"}
"""What integers are, by their axes."""


def name_of(inputs: Array) -> str:
    """What an input is called: `image`, `ids` of tokens, `features` of a row, or `window` of a series."""
    if inputs.dtype == np.uint8:
        return "image"
    if inputs.dtype == np.int64:
        return "ids"
    return "features" if inputs.ndim == 2 else "window"


def axes_of(network: nn.Module, inputs: Array) -> tuple[str, ...]:
    """The names of those of its first axes that vary: the batch, and the length where the network takes any."""
    config: Any = network.config
    lengthy = kind_of(config) in LENGTHY and name_of(inputs) in {"ids", "window"}
    return LENGTH if lengthy else BATCH


def decided_by_inputs(material: Material) -> Mapping[str, Any]:
    """What the training inputs decide of a config: their shape, and what raw numbers are normalised by."""
    inputs = material.dataset.train.inputs
    match name_of(inputs):
        case "image":
            found = moments(inputs)
            mean, deviation = float(np.mean(found.mean)), float(np.mean(found.deviation))
            return {
                "channels": inputs.shape[1],
                "size": inputs.shape[2],
                "features": int(np.prod(inputs.shape[1:])),
                "mean": round(mean, 4),
                "deviation": round(deviation, 4),
            }
        case "ids":
            return {"vocabulary": material.vocabulary, "length": inputs.shape[1]}
        case _:
            found = moments(inputs)
            return {"features": inputs.shape[-1], "mean": found.mean, "deviation": found.deviation}


def decided_by_pictures(material: Material) -> Mapping[str, Any]:
    """The same of pictures, each of one class. Raises SettingsError if the data are something else."""
    inputs = material.dataset.train.inputs
    if name_of(inputs) != "image":
        found = f"{inputs.dtype} {list(inputs.shape)}"
        raise SettingsError(f"problem: is for pictures uint8 [N, C, H, W], and the data's inputs are {found}")
    check_targets(material, "labels")
    return decided_by_inputs(material)


def check_targets(material: Material, wanted: Wanted) -> None:
    """Raise SettingsError unless the data's targets are these; of labels and tags, two classes at least."""
    targets, classes = material.dataset.train.targets, material.dataset.classes
    found: Wanted = "boxes" if targets.ndim == 3 else "values"
    if np.issubdtype(targets.dtype, np.integer):
        found = WHOLE[targets.ndim]
    if found != wanted:
        _, problem = TARGETS[found]
        text = f"problem: the data's targets are {targets.dtype} {list(targets.shape)}, so they are {found}; this one"
        text += f" needs {wanted} {TARGETS[wanted][0]}. For {found}, {problem} is the problem"
        if wanted == "values":
            text += "; numbers that are to be foretold have to be stored as floats"
        raise SettingsError(text)
    if wanted in {"labels", "tags"} and len(classes) < 2:
        raise SettingsError(f"problem: the data has one class of {wanted} only, and one can't be told from another")


def named(place: int, names: tuple[str, ...]) -> str:
    """The name of class `place`, or its number where classes have none."""
    return names[place] if place < len(names) else str(place)


def pictures_of(one: Array) -> Mapping[str, str]:
    """What there is to see of one input: the picture itself, where it is one."""
    return {"input": of_image(one)} if one.dtype == np.uint8 else {}
