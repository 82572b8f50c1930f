"""What a recipe lets be tried: ranges and choices by the dotted key of the setting that they are for."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.errors import SettingsError
from training.settings_file import section
from training.suggestion import suggestion

SEARCHABLE = ("network", "task", "augment", "fit")
"""The sections whose settings can be tried. By others, trials would be judged by other data or in another way."""
JUDGING = "fit.watch"


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both included: whole ones where both are, `step` apart if that is said.

    With `log` a number is as likely to be drawn as its half.
    """

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError("low, high: the first must be below the second")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log: low must be above 0, and there can be no step")
        if self.step is not None and (self.step <= 0 or not self._is_on_step(self.high)):
            raise ValueError("step: high must be low and some steps")
        if self.whole and isinstance(self.step, float):
            raise ValueError("step: must be whole, as low and high are")

    @property
    def whole(self) -> bool:
        """Whether whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        """Whether `value` may be drawn."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.low <= value <= self.high and (self.step is None or self._is_on_step(value))

    def samples(self) -> Sequence[Any]:
        """Values that stand for all: the ends, and one between where there may be other kinds of numbers."""
        if self.whole or self.step is not None:
            return (self.low, self.high)
        return (self.low, self.low + 0.37 * (self.high - self.low), self.high)

    def _is_on_step(self, value: float) -> bool:
        steps = (value - self.low) / (self.step or 1)
        return math.isclose(steps, round(steps), abs_tol=1e-9)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Any of the `choices`, which are values as they stand in a recipe."""

    choices: tuple[Any, ...]

    def __post_init__(self) -> None:
        if len(self.choices) < 2:
            raise ValueError("choices: must be at least 2")
        if any(value in self.choices[:place] for place, value in enumerate(self.choices)):
            raise ValueError("choices: one of them stands twice")

    def holds(self, value: Any) -> bool:
        """Whether `value` may be drawn."""
        return value in self.choices

    def samples(self) -> Sequence[Any]:
        """All of them."""
        return self.choices


Dimension: TypeAlias = Range | Choices
Space: TypeAlias = Mapping[str, Dimension]


def space(settings: Mapping[str, Any], *, file: str) -> Space:
    """The search space that stands in `file`. Raises SettingsError that names the key."""
    return {key: _dimension(key, value, file) for key, value in settings.items()}


def changed(settings: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain `settings` of a recipe with `values` by their dotted keys, and without a search."""
    bare: dict[str, Any] = {key: value for key, value in settings.items() if key != "search"}
    for key, value in values.items():
        bare = _put(bare, key.split("."), value)
    return bare


def own_values(settings: Mapping[str, Any], space: Space) -> Mapping[str, Any] | None:
    """What the recipe itself says of all that is searched; None if some isn't said, or lies outside of the space."""
    found = {}
    for key, dimension in space.items():
        value: Any = settings
        for name in key.split("."):
            value = value.get(name) if isinstance(value, Mapping) else None
        if not dimension.holds(value):
            return None
        found[key] = value
    return found


def probes(space: Space) -> Iterator[tuple[str, Any]]:
    """Each key with values that stand for all it can get: what a recipe doesn't bear is found before it is tried."""
    for key, dimension in space.items():
        for value in dimension.samples():
            yield key, value


def _dimension(key: str, settings: Any, file: str) -> Dimension:
    where = f"search.{key}"
    name = key.partition(".")[0]
    if name not in SEARCHABLE:
        raise SettingsError(f"{file}: `{where}` can't be searched{suggestion(name, SEARCHABLE)}")
    if key == JUDGING:
        raise SettingsError(f"{file}: `{where}` can't be searched: it is what trials are judged by")
    if isinstance(settings, Mapping) and "choices" in settings:
        return section(Choices, settings, file=file, where=where)
    return section(Range, settings, file=file, where=where)


def _put(settings: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    name, *rest = path
    base = settings if isinstance(settings, Mapping) else {}
    return {**base, name: _put(base.get(name), rest, value) if rest else value}
