"""A table from a CSV or Parquet file: one column is foretold from the others."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from service.errors import SettingsError
from training.data import columns, encoding
from training.data.checks import Finding
from training.data.classes import in_order
from training.data.duplicates import common_sources
from training.data.encoding import Cells, Encoding, is_missing, number
from training.data.material import Material
from training.data.shares import Shares
from training.data.split import Array, Dataset, Split

LEAST_OF_A_CLASS = 2
"""Rows, on average; a target of which there are fewer is meant to be regressed."""


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """`path` is the file, `target` the column that is foretold, as a class or a value.

    All other columns are numbers, but those that are `categorical`, and those that `ignore` leaves out.
    """

    path: str
    target: str
    task: Literal["classification", "regression"] = "classification"
    categorical: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if self.target in (*self.categorical, *self.ignore):
            raise ValueError("target: can't be under categorical or ignore too")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A `dataset`, the `encoding` that made its inputs, and `findings` of what was missing."""

    dataset: Dataset
    encoding: Encoding
    findings: tuple[Finding, ...]


def load(settings: TableSettings, seed: int) -> Dataset:
    """Features float32 [N, F], and labels int64 [N] of the classes in their order, or values float32 [N, 1].

    Categorical columns have one feature a category, and what numbers are missing is filled, both by the training part.
    Rows whose columns are the same are of one source. Raises SettingsError that names the column, and the row, counted
    from 1 below the header.
    """
    return read(settings, seed).dataset


def material(settings: TableSettings, seed: int) -> Material:
    """The table for a recipe, with what was missing in it, and how a row becomes an input."""
    table = read(settings, seed)
    return Material(
        dataset=table.dataset,
        features=table.encoding.features,
        findings=table.findings,
        files={encoding.FILE: table.encoding.to_json()},
    )


def read(settings: TableSettings, seed: int) -> Table:
    """The dataset, with how rows are encoded."""
    try:
        return _read(settings, seed)
    except SettingsError as error:
        raise SettingsError(f"{settings.path}: {error}") from error


def _read(settings: TableSettings, seed: int) -> Table:
    cells = dict(columns.read(Path(settings.path)))
    columns.check_there(cells, (settings.target, *settings.categorical, *settings.ignore))
    wanted = cells.pop(settings.target)
    inputs = {name: column for name, column in cells.items() if name not in settings.ignore}
    if not inputs:
        raise SettingsError(f"has no column but `{settings.target}` to learn from")
    targets, classes = _targets(wanted, settings)
    told = [
        encoding.categories(column) if name in settings.categorical else encoding.numbers(column, name=name)
        for name, column in inputs.items()
    ]
    (sources,) = common_sources(zip(*told, strict=True))  # `1` and `1.0` are the same
    strata = targets if classes else np.zeros(len(targets), dtype=np.int64)
    parts = settings.shares.positions(sources, strata, seed)
    encoded = encoding.fit(inputs, settings.categorical, parts[0])
    whole = Split(inputs=encoded.encode(inputs), targets=targets, sources=sources)
    train, validation, test = (whole.take(part) for part in parts)
    return Table(
        dataset=Dataset(train=train, validation=validation, test=test, classes=classes),
        encoding=encoded,
        findings=tuple(encoded.findings(inputs)),
    )


def _targets(cells: Cells, settings: TableSettings) -> tuple[Array, tuple[str, ...]]:
    for row, cell in enumerate(cells, start=1):
        if is_missing(cell):
            raise SettingsError(f"row {row}, column `{settings.target}`: the target is missing; remove such rows")
    if settings.task == "regression":
        values = [number(cell, name=settings.target, row=row) for row, cell in enumerate(cells, start=1)]
        return np.array(values, dtype=np.float32)[:, None], ()
    named = [cell.strip() for cell in cells]
    classes = in_order(named)
    if len(classes) < 2:
        raise SettingsError(f"column `{settings.target}`: has one value only, {classes[0]!r}")
    if len(classes) * LEAST_OF_A_CLASS > len(named):
        raise SettingsError(
            f"column `{settings.target}`: has {len(classes)} classes in {len(named)} rows; set task to regression if it"
            " is a number to be foretold"
        )
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places[name] for name in named], dtype=np.int64), classes
