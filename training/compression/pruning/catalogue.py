"""What can be cut of a network, whatever its kind."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, TypeVar, cast

from service.errors import SettingsError
from training.compression.pruning.units import Units
from training.networks.catalogue import KINDS, kind_of

Config = TypeVar("Config")

FOREIGN = "custom"
"""Networks whose units nobody here knows."""


def units_of(config: object) -> tuple[Units, ...]:
    """The units of a network of this config. Raises SettingsError if nothing is known of them."""
    return cast("tuple[Units, ...]", _kind(config).units(config))


def resized(config: Config, counts: Mapping[str, int]) -> Config:
    """The config with these `counts` of its units; those that aren't named stay as they are. Raises SettingsError."""
    whole = {one.name: one.count for one in units_of(config)}
    if unknown := sorted(set(counts) - set(whole)):
        raise SettingsError(f"{', '.join(unknown)}: there are no such units, but {', '.join(sorted(whole))}")
    wanted = whole | dict(counts)
    return config if wanted == whole else cast("Config", _kind(config).resized(config, wanted))


def _kind(config: object) -> Any:
    try:
        kind = kind_of(config)
    except ValueError as error:
        raise SettingsError(f"pruning: {error}") from error
    if kind == FOREIGN:
        known = ", ".join(sorted(set(KINDS) - {FOREIGN}))
        raise SettingsError(f"pruning: which units a network of kind `{kind}` has isn't known; it is of {known}")
    return import_module(f"{__package__}.kinds.{kind}")
