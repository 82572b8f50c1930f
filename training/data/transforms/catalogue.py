"""Which changes there are, by the names that recipes have for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import msgspec

from service.errors import SettingsError
from training.data.transforms.cutout import Cutout
from training.data.transforms.flip import Flip
from training.data.transforms.jitter import Jitter
from training.data.transforms.mixup import Mixup
from training.data.transforms.noise import Noise
from training.data.transforms.rotate import Rotate
from training.data.transforms.series_jitter import SeriesJitter
from training.data.transforms.shift import Shift
from training.data.transforms.token_dropout import TokenDropout
from training.data.transforms.transform import Transform
from training.suggestion import suggestion

NAMES: Mapping[str, type[Any]] = {
    "cutout": Cutout,
    "flip": Flip,
    "jitter": Jitter,
    "mixup": Mixup,
    "noise": Noise,
    "rotate": Rotate,
    "series_jitter": SeriesJitter,
    "shift": Shift,
    "token_dropout": TokenDropout,
}
CLASSES = "classes"
"""A setting that the data decides, wherever there is one."""


def make(named: Sequence[Mapping[str, Any]], *, classes: int) -> tuple[Transform, ...]:
    """The changes that a recipe names, in order: each a mapping of `name`, and of its settings.

    `classes` is how many the data has. Raises SettingsError that says which of them is wrong, and what there is.
    """
    return tuple(_one(settings, classes, where=f"transforms[{place}]") for place, settings in enumerate(named))


def spelt_out(named: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The same changes, with the defaults of what isn't said. Raises SettingsError as `make` does."""
    return tuple(
        {"name": one["name"], **{key: value for key, value in asdict(made).items() if key != CLASSES}}  # type: ignore[call-overload]
        for one, made in zip(named, make(named, classes=1), strict=True)
    )


def _one(settings: Mapping[str, Any], classes: int, *, where: str) -> Transform:
    if "name" not in settings:
        raise SettingsError(f"{where}: must map `name` to one of {', '.join(NAMES)}, and settings to values")
    rest = dict(settings)
    name = str(rest.pop("name"))
    if name not in NAMES:
        raise SettingsError(f"{where}: no transform `{name}`{suggestion(name, NAMES)}")
    known = {field.name for field in fields(NAMES[name])}
    for key in rest:
        if key == CLASSES and key in known:
            raise SettingsError(f"{where}: `{key}` is decided by the data and can't be set")
        if key not in known:
            raise SettingsError(f"{where}: {name}: unknown key `{key}`{suggestion(str(key), sorted(known))}")
    if CLASSES in known:
        rest[CLASSES] = classes
    try:
        made: Transform = msgspec.convert(rest, NAMES[name])
    except msgspec.ValidationError as error:
        raise SettingsError(f"{where}: {name}: {error}") from error
    return made
