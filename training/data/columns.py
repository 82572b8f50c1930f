"""The columns of a CSV or Parquet file: every cell as the text that stands in it."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from service.errors import SettingsError
from training.data.encoding import Cells

Columns = Mapping[str, Cells]


def read(path: Path) -> Columns:
    """All cells, by column; there is one row at least. Raises SettingsError."""
    try:
        match path.suffix.lower():
            case ".csv":
                columns = _csv(path)
            case ".parquet":
                columns = _parquet(path)
            case _:
                raise SettingsError("must be called .csv or .parquet")
    except OSError as error:
        raise SettingsError(f"can't be read ({error.strerror or error})") from error
    if not columns or not len(next(iter(columns.values()))):
        raise SettingsError("has no rows")
    return columns


def check_there(columns: Columns, names: Iterable[str]) -> None:
    """Raise SettingsError unless there is a column of each of these names."""
    for name in names:
        if name not in columns:
            raise SettingsError(f"has no column `{name}`; there are {', '.join(columns)}")


def _csv(path: Path) -> dict[str, Cells]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
        except (csv.Error, UnicodeDecodeError) as error:
            raise SettingsError(f"isn't a CSV file in UTF-8 ({error})") from error
    _check_header(header)
    for index, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise SettingsError(f"row {index}: has {len(row)} cells, the header {len(header)}")
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def _parquet(path: Path) -> dict[str, Cells]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except pa.ArrowException as error:
        raise SettingsError(f"isn't a Parquet file ({error})") from error
    _check_header(table.column_names)
    return {name: list(_texts(table.column(name).to_pylist())) for name in table.column_names}


def _check_header(names: Sequence[str]) -> None:
    if not names or not all(name.strip() for name in names):
        raise SettingsError("every column must have a name, in the first line")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"has several columns `{twice[0]}`")


def _texts(values: Sequence[object]) -> Iterator[str]:
    """Values as a CSV file would have them; True is 1."""
    for value in values:
        if value is None:
            yield ""
        else:
            yield str(int(value)) if isinstance(value, bool) else str(value)
