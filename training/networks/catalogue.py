"""Which kinds of networks there are, and how one is built from its config.

A module is imported when a network of its kind is asked for. So this file can be imported by whatever keeps networks
without what it keeps depending on all of them (see `training.sources`).
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec
from torch import nn

from training.seeding import seeded
from training.suggestion import suggestion

KINDS: Mapping[str, str] = {
    "autoencoder": "Autoencoder",
    "custom": "Custom",
    "decoder": "Decoder",
    "depthwise": "Depthwise",
    "detector": "Detector",
    "encoder": "Encoder",
    "gan": "GAN",
    "mlp": "MLP",
    "recurrent": "Recurrent",
    "resnet": "ResNet",
    "unet": "UNet",
    "variational": "Variational",
}
"""Each kind, which is the name of a module beside this one, with its class there; that of its config is named after
the class, with `Config` behind it."""


def kind_of(config: object) -> str:
    """The kind of networks that `config` describes. Raises ValueError if it is none of theirs."""
    for kind, name in KINDS.items():
        if type(config).__name__ == f"{name}Config" and type(config).__module__ == _module(kind):
            return kind
    raise ValueError(f"{type(config).__name__}: is the config of no network in the catalogue; there are {_kinds()}")


def config_of(kind: str, settings: Mapping[str, Any]) -> Any:
    """The config of a network of `kind` with these settings, plain JSON.

    Raises ValueError that names the nearest kind, msgspec.ValidationError that names the setting, and SettingsError
    if the code of a custom network isn't there.
    """
    return msgspec.convert(settings, config_class(kind))


def config_class(kind: str) -> type[Any]:
    """The class of configs of networks of `kind`. Raises ValueError that names the nearest there is."""
    if kind not in KINDS:
        raise ValueError(f"no network of kind {kind!r}{suggestion(kind, sorted(KINDS))}")
    found: type[Any] = getattr(import_module(_module(kind)), f"{KINDS[kind]}Config")
    return found


def build(config: object, seed: int) -> nn.Module:
    """A network with fresh weights drawn by `seed`; the global random state is left as it was. Raises ValueError.

    And SettingsError, where a custom network can't be made.
    """
    kind = kind_of(config)
    make = getattr(import_module(_module(kind)), KINDS[kind])
    with seeded(seed):
        network: nn.Module = make(config)
    return network


def _module(kind: str) -> str:
    return f"{__package__}.{kind}"


def _kinds() -> str:
    return ", ".join(sorted(KINDS))
