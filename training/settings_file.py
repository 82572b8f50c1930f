"""Settings from a YAML file: read, changed by a profile, and checked key by key before anything runs.

Unknown keys are refused, because a misspelt setting that is silently ignored costs a training run to find out.
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml

from service.errors import SettingsError
from training.suggestion import suggestion

PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]+")
PLACE = re.compile(r"\.\d+\.")
"""Where in a list something stands, in its path: what is decided of one is decided of all."""
NOTHING: Mapping[str, str] = {}
Settings = TypeVar("Settings")


def read_settings(path: Path) -> dict[str, Any]:
    """The YAML mapping in a file. Raises SettingsError that names the file."""
    try:
        settings = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except SettingsError as error:
        raise SettingsError(f"{path.name}: {error}") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the last three: `!!int x` and the like
        raise SettingsError(f"{path.name}: isn't YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise SettingsError(f"{path.name}: can't be read ({error.strerror})") from error
    if not isinstance(settings, dict):
        raise SettingsError(f"{path.name}: must hold a mapping of settings")
    return settings


def section(
    kind: type[Settings], settings: Any, *, file: str, where: str, decided: Mapping[str, str] = NOTHING
) -> Settings:
    """The settings of `kind` that stand in `file` under `where`, from plain values.

    `decided` are the keys that no file may set, and what decides them instead. Raises SettingsError that names file and
    key.
    """
    if not isinstance(settings, Mapping):
        raise SettingsError(f"{file}: {where}: must map keys to settings")
    check_settings(kind, settings, file=file, where=f"{where}.", decided=decided)
    try:
        return converted(settings, kind, decided=decided, where=f"{where}.")
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {where}: {error}") from error


def converted(
    settings: Mapping[str, Any], kind: type[Settings], *, decided: Mapping[str, str] = NOTHING, where: str = ""
) -> Settings:
    """The dataclass `kind` from plain values that stand under `where`. Raises msgspec.ValidationError.

    Defaults are as much the object's own as what is said, but for those of keys that something else has `decided`:
    msgspec leaves all of them to the class, where nobody looks who writes the object out.
    """
    made = msgspec.convert(settings, kind)
    _own_defaults(made, decided, where)
    return made


def changes_of(profiles: Any, profile: str, *, file: str) -> Any:
    """What `profile` changes, of all `profiles` that a file has."""
    if not isinstance(profiles, Mapping):
        raise SettingsError(f"{file}: profiles: must map names to settings")
    for name, changes in profiles.items():
        if not isinstance(name, str) or not PROFILE_NAME.fullmatch(name):
            raise SettingsError(f"{file}: profiles: {name!r} must be a word of letters, digits, '_' and '-'")
        if not isinstance(changes, Mapping | None):
            raise SettingsError(f"{file}: profiles.{name}: must map keys to settings")
    if profile not in profiles:
        raise SettingsError(f"{file}: no profile `{profile}`{suggestion(profile, list(profiles))}")
    return profiles[profile] or {}


def merge(base: Mapping[str, Any], changes: Any, *, where: str) -> dict[str, Any]:
    """`base` with `changes`, which go into sections of it. Raises SettingsError that names the place, `where`."""
    if not isinstance(changes, Mapping):
        raise SettingsError(f"{where}: must map keys to settings")
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = merge(below, value, where=f"{where}.{key}") if isinstance(below, Mapping) else value
    return merged


def check_settings(kind: type, settings: Any, *, file: str, where: str, decided: Mapping[str, str]) -> None:
    """Refuse unknown keys, keys that something else decides, and numbers that aren't finite, at any depth."""
    if not isinstance(settings, Mapping):
        return  # a wrong type is named by the conversion
    every = get_type_hints(kind)
    keys = [field.name for field in dataclasses.fields(kind) if field.init]
    anywhere = PLACE.sub(".", where)
    hints = {key: every[key] for key in keys if f"{anywhere}{key}" not in decided}
    for key, value in settings.items():
        path = f"{where}{key}"
        if by := decided.get(f"{anywhere}{key}"):
            raise SettingsError(f"{file}: `{path}` is decided by {by} and can't be set")
        if key not in hints:
            raise SettingsError(f"{file}: unknown key `{path}`{suggestion(str(key), list(hints))}")
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise SettingsError(f"{file}: `{path}` is {number}, and must be finite")
        if dataclasses.is_dataclass(hints[key]):
            check_settings(hints[key], value, file=file, where=f"{path}.", decided=decided)
        elif isinstance(value, list) and (each := _each(hints[key])):
            for place, one in enumerate(value):
                check_settings(each, one, file=file, where=f"{path}.{place}.", decided=decided)


def _each(hint: Any) -> Any:
    """The dataclass of which `hint` says that there are any number, if it does."""
    of = get_args(hint)
    return of[0] if get_origin(hint) is tuple and dataclasses.is_dataclass(of[0]) else None


def _own_defaults(settings: Any, decided: Mapping[str, str], where: str) -> None:
    for field in dataclasses.fields(settings):
        if f"{where}{field.name}" in decided:
            continue
        value = getattr(settings, field.name)
        object.__setattr__(settings, field.name, value)  # nobody else has it yet, frozen as it is
        for one in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(one):
                _own_defaults(one, decided, f"{where}{field.name}.")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping; of the two, YAML's own loader would take the last."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no setting's name
            line = key.start_mark.line + 1
            if key.value in lines:
                raise SettingsError(f"key `{key.value}` stands twice, in lines {lines[key.value]} and {line}")
            lines[key.value] = line
        return node
