"""How a row of a table becomes numbers: what the training part says of each column."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.errors import SettingsError
from training.data.checks import Finding, warning

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What a cell without a value holds, in small letters."""
MOST_CATEGORIES = 1000
FILE = "encoding.json"
"""What an encoding is called among the files of a model version."""

Cells = Sequence[str]


class Numeric(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="numeric"):
    """A column of numbers; `median` stands for those that are missing."""

    name: str
    median: float


class Categorical(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="categorical"):
    """A column of one feature each category, 1 where the cell is that; no value is a category too, if trained on."""

    name: str
    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The columns in the order of their features."""

    columns: tuple[Numeric | Categorical, ...]

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """What `to_json` wrote. Raises SettingsError for anything else."""
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.DecodeError as error:
            raise SettingsError(f"{FILE}: isn't the encoding of a table ({error})") from error

    def to_json(self) -> bytes:
        """The columns as indented JSON: of each its `name`, its `kind`, and its `median` or `categories`."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the F features; that of a category is `column=category`."""
        return tuple(name for column in self.columns for name in _names(column))

    def encode(self, table: Mapping[str, Cells]) -> NDArray[np.float32]:
        """Features float32 [N, F] of the cells [N] of each column; a category that is unknown is none of the others.

        Raises SettingsError for a cell that is no number, with its row, counted from 1, and column.
        """
        return np.concatenate([_encoded(column, table[column.name]) for column in self.columns], axis=1)

    def findings(self, table: Mapping[str, Cells]) -> Iterator[Finding]:
        """What is missing in a table, or unknown."""
        for column in self.columns:
            cells = table[column.name]
            missing = sum(is_missing(cell) for cell in cells)
            if isinstance(column, Numeric):
                told = f"the median of the training part, {column.median:g}, stands for them"
            else:
                told = "they are a category of their own"
            if missing:
                yield warning(f"column `{column.name}`: {missing} of {len(cells)} cells are missing; {told}")
            if isinstance(column, Categorical):
                unknown = [category for category in categories(cells) if category not in column.categories]
                if unknown:
                    yield warning(
                        f"column `{column.name}`: {len(unknown)} cells are of no category that the training part has,"
                        f" such as {min(unknown)!r}"
                    )


def fit(table: Mapping[str, Cells], categorical: Sequence[str], rows: NDArray[np.int64]) -> Encoding:
    """The encoding of all columns of `table`, by what these `rows` have: those of the training part."""
    return Encoding(
        columns=tuple(
            _categorical(name, cells, rows) if name in categorical else _numeric(name, cells, rows)
            for name, cells in table.items()
        )
    )


def is_missing(cell: str) -> bool:
    """True for a cell without a value."""
    return cell.strip().lower() in MISSING


def number(cell: str, *, name: str, row: int) -> float:
    """The number in a cell of the column `name`. Raises SettingsError with `row` counted from 1."""
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not abs(value) <= float(np.finfo(np.float32).max):
        raise SettingsError(f"row {row}, column `{name}`: {cell!r} is no number of 32 bits")
    return value


def numbers(cells: Cells, *, name: str) -> list[float | None]:
    """The numbers in all cells of the column `name`, None for what is missing. Raises SettingsError."""
    try:
        return [
            None if is_missing(cell) else number(cell, name=name, row=row) for row, cell in enumerate(cells, start=1)
        ]
    except SettingsError as error:
        raise SettingsError(f"{error}; name its column under categorical, or under ignore, or mend the cell") from error


def categories(cells: Cells) -> list[str]:
    """What the cells of a column say, empty for what is missing."""
    return ["" if is_missing(cell) else cell.strip() for cell in cells]


def _numeric(name: str, cells: Cells, rows: NDArray[np.int64]) -> Numeric:
    found = numbers(cells, name=name)
    known = [value for row in rows if (value := found[row]) is not None]
    if not known:
        raise SettingsError(f"column `{name}`: the training part has no value of it; name it under ignore")
    return Numeric(name=name, median=statistics.median(known))


def _categorical(name: str, cells: Cells, rows: NDArray[np.int64]) -> Categorical:
    told = categories(cells)
    found = tuple(sorted({told[row] for row in rows}))
    if len(found) > MOST_CATEGORIES:
        raise SettingsError(
            f"column `{name}`: has {len(found)} categories, at most {MOST_CATEGORIES} may be; name it under ignore"
        )
    return Categorical(name=name, categories=found)


def _names(column: Numeric | Categorical) -> tuple[str, ...]:
    if isinstance(column, Numeric):
        return (column.name,)
    return tuple(f"{column.name}={category}" for category in column.categories)


def _encoded(column: Numeric | Categorical, cells: Cells) -> NDArray[np.float32]:
    if isinstance(column, Numeric):
        filled = [column.median if value is None else value for value in numbers(cells, name=column.name)]
        return np.array(filled, dtype=np.float32)[:, None]
    places = {category: place for place, category in enumerate(column.categories)}
    encoded = np.zeros((len(cells), len(places)), dtype=np.float32)
    for row, category in enumerate(categories(cells)):
        if (place := places.get(category)) is not None:
            encoded[row, place] = 1
    return encoded
