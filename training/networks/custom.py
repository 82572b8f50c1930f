"""A network of somebody's own: whatever `torch.nn.Module` a function of theirs makes, named by its dotted path."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from service.errors import SettingsError
from training.dotted_path import DottedPath, told

DECIDED = (
    "channels",
    "size",
    "classes",
    "features",
    "outputs",
    "vocabulary",
    "length",
    "mean",
    "deviation",
    "target_mean",
    "target_deviation",
)
"""What the data decides, as the configs of other networks call it."""


@dataclass(frozen=True, kw_only=True)
class CustomConfig:
    """All there is to know to build the network, weights apart.

    `function` is `package.module:function`, called with `settings`, plain JSON, by keyword. Of the other fields, which
    the data decides, it gets those that it has a parameter for. `source` is the digest of its code as it lies there: a
    step whose inputs this config is depends on that code too.
    """

    function: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    channels: int | None = None
    size: int | None = None
    classes: int | None = None
    features: int | None = None
    outputs: int | None = None
    vocabulary: int | None = None
    length: int | None = None
    mean: float | tuple[float, ...] | None = None
    deviation: float | tuple[float, ...] | None = None
    target_mean: float | tuple[float, ...] | None = None
    target_deviation: float | tuple[float, ...] | None = None
    source: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """Raises SettingsError if there is no such module."""
        try:
            path = DottedPath.parse(self.function)
        except ValueError as error:
            raise ValueError(f"function: {error}") from error
        if taken := [name for name in self.settings if name in self.decided()]:
            raise ValueError(f"settings: {', '.join(taken)}: decided by the data, leave it out")
        try:
            settings = json.loads(json.dumps(dict(self.settings)))
        except TypeError as error:
            raise ValueError(
                f"settings: must be plain JSON, so that the network can be built again ({error})"
            ) from error
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "source", path.digest())

    def decided(self) -> dict[str, Any]:
        """What the data has decided."""
        return {name: value for name in DECIDED if (value := getattr(self, name)) is not None}


class Custom(nn.Module):
    """The network that the function made, as `network`. `config` is what it was built from.

    Raises SettingsError that says what the function lacks, what of its arguments is wrong, or what went wrong in it.
    """

    def __init__(self, config: CustomConfig) -> None:
        super().__init__()
        self.config = config
        self.network = _made(config)

    def forward(self, inputs: torch.Tensor) -> Any:
        """What the network makes of `inputs`; to take these, and to answer what the task expects, is its promise."""
        return self.network(inputs)


def _made(config: CustomConfig) -> nn.Module:
    path = DottedPath.parse(config.function)
    function = path.load()
    signature = inspect.signature(function)
    arguments = {name: value for name, value in config.decided().items() if name in signature.parameters}
    arguments |= config.settings
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise SettingsError(f"{path}: {error}; it takes {signature}, and is given {', '.join(arguments)}") from error
    try:
        network = function(**arguments)
    except Exception as error:
        raise SettingsError(f"{path}: made no network ({told(error)})") from error
    if not isinstance(network, nn.Module):
        raise SettingsError(f"{path}: must return a torch.nn.Module, and returned {type(network).__name__}")
    return network
