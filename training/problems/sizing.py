"""A network's config as the data decides it, and whether the network then fits the data at all."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import nn

from service.errors import SettingsError
from training.data.batches import Batch
from training.networks.catalogue import kind_of
from training.seeding import seeded
from training.tasks.task import Task

PIXEL = 255.0
DECIDED = (
    "channels",
    "classes",
    "deviation",
    "each",
    "embedding",
    "features",
    "head",
    "length",
    "mean",
    "outputs",
    "size",
    "target_deviation",
    "target_mean",
    "vocabulary",
)
"""The fields of configs that no recipe sets, because the data or the problem does."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a network has to answer: a tensor of this `shape`, and what that is made `of`, in words."""

    shape: tuple[int, ...]
    of: str


def sized(config: Any, decided: Mapping[str, Any]) -> Any:
    """`config` with those of the `decided` fields that it has."""
    known = {field.name for field in fields(config)}
    taken = {name: value for name, value in decided.items() if name in known}
    for name in {"mean", "deviation"} & set(taken):
        # Rows of numbers have a figure for each; pixels have one, as a share of 255 where a network knows of pixels.
        if isinstance(getattr(config, name), tuple) and isinstance(taken[name], float):
            taken[name] = (PIXEL * taken[name],)
        elif isinstance(getattr(config, name), float) and isinstance(taken[name], tuple):
            del taken[name]  # a network of pixels alone, which `check_fit` says with the inputs' shape
    try:
        return replace(config, **taken)
    except ValueError as error:
        raise SettingsError(f"network: {error}") from error


def check_fit(network: nn.Module, task: Task, batch: Batch, wanted: Answer | None) -> None:
    """Raise SettingsError unless `network` takes what is in `batch` and answers what is `wanted`, and `task` judges.

    None is wanted where the task alone knows.
    """
    if not any(weights.requires_grad for weights in network.parameters()):
        raise SettingsError("network: has no parameters, so there is nothing to learn")
    network.eval()
    try:
        with torch.inference_mode(), seeded(0):
            if wanted is not None:
                _check_answer(network(batch.inputs), wanted)
            task(network, batch)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        taken = f"{str(batch.inputs.dtype).removeprefix('torch.')} {list(batch.inputs.shape)}"
        text = f"network: one of kind `{kind_of(network.config)}` doesn't fit inputs {taken} and this problem"
        raise SettingsError(f"{text} ({' '.join(str(error).split())})") from error


def _check_answer(found: object, wanted: Answer) -> None:
    """Raise ValueError unless the answer is what is wanted."""
    told = str(list(found.shape)) if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
    if told != str(list(wanted.shape)):
        raise ValueError(f"it answers {told}, and the data needs {list(wanted.shape)}: {wanted.of}")
