"""A series of somebody's own from a CSV or Parquet file, a row a step: what comes next is foretold."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.errors import SettingsError
from training.data import columns
from training.data.checks import Finding, warning
from training.data.encoding import Cells, is_missing, number
from training.data.material import Material
from training.data.split import Dataset
from training.data.time_series import TimeSeries, WindowSettings

UNEVEN = 1.5
"""A step of time that is so many times the usual one is no month among months."""
DATES = "2026-11, 2026-11-23 or 2026-11-23T14:00"
"""What a time may look like that isn't a number."""


@dataclass(frozen=True, kw_only=True)
class SeriesTableSettings(WindowSettings):
    """`path` is the file, `target` the column that is foretold, from its past and that of the `covariates`.

    `time` is the column that says when a row was measured; without one, rows are in order and evenly apart.
    """

    path: str
    target: str
    covariates: tuple[str, ...] = ()
    time: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        named = [self.target, *self.covariates, *([] if self.time is None else [self.time])]
        if len(set(named)) < len(named):
            raise ValueError("target, covariates, time: must be different columns")


def load(settings: SeriesTableSettings, seed: int) -> Dataset:
    """Windows float32 [N, window, F], the target's column first, and the values float32 [N, horizon] after them.

    Both are in order of time, which alone decides the parts, whatever the `seed`. Raises SettingsError that names the
    column, and the row, counted from 1 below the header.
    """
    return material(settings, seed).dataset


def material(settings: SeriesTableSettings, seed: int) -> Material:
    """The windows for a recipe; what wasn't measured is told, and where rows seem to be missing."""
    del seed
    try:
        return _read(settings)
    except SettingsError as error:
        raise SettingsError(f"{settings.path}: {error}") from error


def _read(settings: SeriesTableSettings) -> Material:
    cells = columns.read(Path(settings.path))
    features = (settings.target, *settings.covariates)
    columns.check_there(cells, features if settings.time is None else (*features, settings.time))
    apart = () if settings.time is None else tuple(_uneven(cells[settings.time], settings.time))
    raw = np.stack([_values(cells[name], name) for name in features], axis=1)
    series = TimeSeries.filled(features, raw)
    return Material(dataset=series.cut(settings), features=features, findings=(*series.findings(), *apart))


def _values(cells: Cells, name: str) -> NDArray[np.float32]:
    """The numbers of a column [M], NaN where one is missing."""
    found = [np.nan if is_missing(cell) else number(cell, name=name, row=row) for row, cell in enumerate(cells, 1)]
    return np.array(found, dtype=np.float32)


def _uneven(cells: Cells, name: str) -> Iterator[Finding]:
    """Steps of time that aren't as long as the others. Raises SettingsError unless each row is later than the last."""
    dates = _date(cells[0]) is not None
    times = np.array([_time(cell, name, row, dates=dates) for row, cell in enumerate(cells, 1)])
    steps = np.diff(times)
    if len(back := np.flatnonzero(steps <= 0)):
        row = int(back[0]) + 2
        what = "the same time as" if steps[back[0]] == 0 else "earlier than"
        raise SettingsError(
            f"row {row}, column `{name}`: {cells[row - 1]!r} is {what} the row before; there must be one row for each"
            " time, in their order"
        )
    usual = np.median(steps) if len(steps) else 0.0
    if len(odd := np.flatnonzero((steps > UNEVEN * usual) | (steps * UNEVEN < usual))):
        yield warning(
            f"column `{name}`: {len(odd)} of {len(steps)} steps are much longer or shorter than the usual one, the"
            f" first before row {odd[0] + 2}; all count as one step: where rows are missing, add them with empty cells"
        )


def _time(cell: str, name: str, row: int, *, dates: bool) -> float:
    """When it was: the second of a date, as all are or none, or the number that stands there. Raises SettingsError."""
    if dates:
        if (found := _date(cell)) is None:
            raise SettingsError(f"row {row}, column `{name}`: {cell!r} isn't a date such as {DATES}")
        return found
    try:
        return number(cell, name=name, row=row)
    except SettingsError as error:
        raise SettingsError(f"{error}, nor a date such as {DATES}") from error


def _date(cell: str) -> float | None:
    """The second of a date or time in ISO 8601, also of a month; None for what is none. Without a zone it is UTC."""
    for text in (cell.strip(), f"{cell.strip()}-01"):
        try:
            found = dt.datetime.fromisoformat(text)
        except ValueError:
            continue
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()
    return None
