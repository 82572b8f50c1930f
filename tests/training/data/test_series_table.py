"""Series of somebody's own, from files."""

import csv
import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_same, parts
from training.data import series_table
from training.data.checks import Severity, check
from training.data.series_table import SeriesTableSettings
from training.data.shares import Shares

LENGTH = 120
FIRST = dt.date(2026, 1, 1)
ROWS = [[(FIRST + dt.timedelta(days=n)).isoformat(), str(n), str(1000 + 2 * n), "as it was"] for n in range(LENGTH)]
Rows = list[list[str]]


def write(path: Path, rows: Sequence[Sequence[str]] = ROWS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["day", "price", "heat", "note"], *rows])
    return path


def settings(path: Path, **changes: object) -> SeriesTableSettings:
    plain = {"path": str(path), "target": "price", "covariates": ("heat",), "time": "day", "window": 6, "horizon": 2}
    return SeriesTableSettings(**{**plain, **changes})  # type: ignore[arg-type]


def test_windows_lie_within_their_part(tmp_path: Path) -> None:
    """Trained on the beginning, tested on the end; a window that overlaps a border of parts belongs to none."""
    dataset = series_table.load(settings(write(tmp_path / "a.csv"), shares=Shares(validation=0.2, test=0.3)), seed=7)
    for part, begin, end in zip(parts(dataset), (0, 60, 84), (60, 84, 120), strict=True):
        count = end - begin - 7
        assert_array(part.inputs, np.float32, (count, 6, 2))
        assert_array(part.targets, np.float32, (count, 2))
        assert np.array_equal(np.arange(begin, begin + count), part.inputs[:, 0, 0])
        assert np.array_equal(1000 + 2 * part.inputs[:, :, 0], part.inputs[:, :, 1])
        assert np.array_equal(part.inputs[:, -1:, 0] + [1, 2], part.targets)
        assert end - 1 == part.targets.max()
    assert_apart(dataset)
    assert () == check(dataset, ("price", "heat"))


def test_time_alone_decides_the_parts(tmp_path: Path) -> None:
    """Whatever the seed, and whether or not a column says when it was; Parquet is the same as CSV."""
    path = write(tmp_path / "a.csv")
    days, prices, heats, _ = zip(*ROWS, strict=True)
    columns = {"day": list(map(dt.date.fromisoformat, days)), "price": list(map(int, prices))}
    parquet.write_table(pa.table({**columns, "heat": list(map(float, heats))}), tmp_path / "a.parquet")
    first = series_table.load(settings(path), seed=7)
    for one in (settings(path), settings(path, time=None), settings(tmp_path / "a.parquet")):
        assert_same(first, series_table.load(one, seed=8))


def test_what_is_missing_is_what_was_before_and_never_asked_for(tmp_path: Path) -> None:
    """Told by column; a covariate is filled too."""
    rows = [list(row) for row in ROWS]
    rows[10][1] = "NA"
    rows[20][2] = rows[21][2] = ""
    found = series_table.material(settings(write(tmp_path / "a.csv", rows)), seed=7)
    train = found.dataset.train
    assert ("price", "heat") == found.features
    assert [
        "`price`: 1 of 120 steps weren't measured; the last value before stands there",
        "`heat`: 2 of 120 steps weren't measured; the last value before stands there",
    ] == [one.text for one in found.findings]
    for column, begin, wanted in ((0, 1018, [9, 9, 11]), (1, 1038, [1038, 1038, 1038, 1044])):
        (first, *_) = np.flatnonzero(train.inputs[:, 0, 1] == begin)
        assert wanted == train.inputs[first, : len(wanted), column].tolist()
    assert 10.0 not in train.targets


def test_steps_that_are_not_as_long_as_others_are_told(tmp_path: Path) -> None:
    """Rows that seem to be missing; months are all alike, with or without a day."""
    (told,) = series_table.material(settings(write(tmp_path / "a.csv", ROWS[:50] + ROWS[53:])), seed=7).findings
    assert Severity.WARNING == told.severity
    assert "column `day`: 1 of 116 steps are much longer or shorter than the usual one, the first before" in told.text
    assert "before row 51;" in told.text
    for day in ("", "-15"):
        months = [[f"{2000 + n // 12}-{n % 12 + 1:02}{day}", *row[1:]] for n, row in enumerate(ROWS)]
        assert () == series_table.material(settings(write(tmp_path / "m.csv", months)), seed=7).findings


def cell(row: int, column: int, text: str) -> Callable[[Rows], Rows]:
    """Another cell, the row counted from 1."""

    def changed(rows: Rows) -> Rows:
        rows[row - 1][column] = text
        return rows

    return changed


@pytest.mark.parametrize(
    "change, text",
    [
        (cell(7, 1, "dear"), "row 7, column `price`: 'dear' is no number of 32 bits"),
        (cell(9, 2, "inf"), "row 9, column `heat`: 'inf' is no number of 32 bits"),
        (cell(1, 1, ""), "`price`: the first step is missing, and nothing before it could stand there"),
        (cell(5, 0, "2026-01-04"), "row 5, column `day`: '2026-01-04' is the same time as the row before; there must"),
        (cell(5, 0, "2025-12-24"), "row 5, column `day`: '2025-12-24' is earlier than the row before"),
        (cell(5, 0, "soon"), "row 5, column `day`: 'soon' isn't a date such as 2026-11, "),
        (cell(5, 0, "46000"), "row 5, column `day`: '46000' isn't a date such as"),
        (cell(1, 0, "soon"), "row 1, column `day`: 'soon' is no number of 32 bits, nor a date such as"),
        (lambda rows: rows[:40], "`price`: a part has 6 steps, window and horizon take 8: shorten them"),
    ],
)
def test_what_is_no_series_is_refused(tmp_path: Path, change: Callable[[Rows], Rows], text: str) -> None:
    """With the file's name, the row and the column."""
    path = write(tmp_path / "a.csv", change([list(row) for row in ROWS]))
    with pytest.raises(SettingsError) as told:
        series_table.load(settings(path), seed=7)
    assert str(told.value).startswith(f"{path}: {text}")


def test_columns_are_named_once_and_are_there(tmp_path: Path) -> None:
    """A column that isn't in the file is named with those that are."""
    with pytest.raises(SettingsError, match="has no column `hour`; there are day, price, heat, note"):
        series_table.load(settings(write(tmp_path / "a.csv"), time="hour"), seed=7)
    with pytest.raises(ValueError, match="target, covariates, time: must be different columns"):
        settings(tmp_path / "a.csv", covariates=("price",))
    with pytest.raises(ValueError, match="window, horizon: must be at least 1"):
        settings(tmp_path / "a.csv", window=0)


def test_a_column_that_is_always_the_same_is_told(tmp_path: Path) -> None:
    """By its name, before anything is trained."""
    rows = [[day, price, "20.5", note] for day, price, _, note in ROWS]
    found = series_table.material(settings(write(tmp_path / "a.csv", rows)), seed=7)
    (told,) = check(found.dataset, found.features)
    assert "train: always the same: column 2 (`heat`)" == told.text
