"""Tables from files."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_same, assert_sound, parts
from training.data import table
from training.data.checks import Severity, check
from training.data.encoding import FILE, Encoding
from training.data.table import TableSettings

HEADER = ["id", "age", "colour", "price", "kind"]
ROWS = [[str(n), str(20 + n), ("red", "green", "blue")[n % 3], f"{n / 7:.3f}", ("yes", "no")[n % 2]] for n in range(40)]


def write(path: Path, rows: list[list[str]], header: list[str] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def changed(row: int, column: str, cell: str) -> list[list[str]]:
    """`ROWS` with another cell, the row counted from 1."""
    rows = [list(one) for one in ROWS]
    rows[row - 1][HEADER.index(column)] = cell
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "goods.csv", ROWS)


def classify(path: Path) -> TableSettings:
    return TableSettings(path=str(path), target="kind", categorical=("colour",), ignore=("id",))


def test_columns_become_features(path: Path) -> None:
    """Numbers as they are, a category a feature; classes by name, as int64."""
    read = table.read(classify(path), seed=7)
    assert ("age", "colour=blue", "colour=green", "colour=red", "price") == read.encoding.features
    assert ("no", "yes") == read.dataset.classes
    assert 40 == sum(map(len, parts(read.dataset)))
    for part in parts(read.dataset):
        assert_array(part.inputs, np.float32, (len(part), 5))
        for features, label in zip(part.inputs, part.targets, strict=True):
            _, age, colour, price, kind = ROWS[int(features[0]) - 20]
            assert kind == read.dataset.classes[label]
            assert [float(age), *(colour == one for one in ("blue", "green", "red")), np.float32(price)] == list(
                features
            )
    assert () == read.findings
    assert () == check(read.dataset, read.encoding.features)
    assert_apart(read.dataset)


def test_the_seed_decides_the_parts(path: Path) -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: table.load(classify(path), seed))


def test_values_are_regressed(path: Path) -> None:
    """A target of numbers is float32 [N, 1], without classes."""
    settings = TableSettings(
        path=str(path), target="price", task="regression", categorical=("colour", "kind"), ignore=("id",)
    )
    dataset = table.load(settings, seed=7)
    assert () == dataset.classes
    for part in parts(dataset):
        assert_array(part.targets, np.float32, (len(part), 1))
        assert np.allclose(part.targets[:, 0], (part.inputs[:, 0] - 20) / 7, atol=1e-3)


def test_parquet_is_the_same_table(path: Path, tmp_path: Path) -> None:
    """With numbers as numbers, and booleans as 0 and 1."""
    columns = list(zip(*ROWS, strict=True))
    found = pa.table(
        {
            "id": columns[0],
            "age": pa.array([int(age) for age in columns[1]]),
            "colour": columns[2],
            "price": pa.array([float(price) for price in columns[3]]),
            "kind": columns[4],
        }
    )
    parquet.write_table(found, tmp_path / "goods.parquet")
    assert_same(table.load(classify(path), seed=7), table.load(classify(tmp_path / "goods.parquet"), seed=7))
    flags = found.set_column(0, "id", pa.array([number % 4 == 0 for number in range(40)]))
    parquet.write_table(flags, tmp_path / "flags.parquet")
    settings = TableSettings(path=str(tmp_path / "flags.parquet"), target="kind", categorical=("colour",))
    assert {0.0, 1.0} == set(table.load(settings, seed=7).train.inputs[:, 0])


def test_missing_numbers_are_filled_by_the_training_part_and_told(tmp_path: Path) -> None:
    """The median of what is trained on stands for them; a missing category is one of its own."""
    rows = changed(3, "age", "")
    rows[3][HEADER.index("age")] = "NA"
    rows[5][HEADER.index("colour")] = " "
    settings = classify(write(tmp_path / "gaps.csv", rows))
    read = table.read(settings, seed=7)
    trained = read.dataset.train.inputs[:, 0]
    complete = [float(row[1]) for row in rows if row[1] not in ("", "NA")]
    median = read.encoding.columns[0].median  # type: ignore[union-attr]
    assert np.median(trained) == pytest.approx(median, abs=1)
    assert median != np.median(complete)
    assert "colour=" in read.encoding.features
    ages, colours = (one.text for one in read.findings)
    assert f"column `age`: 2 of 40 cells are missing; the median of the training part, {median:g}" in ages
    assert "column `colour`: 1 of 40 cells are missing" in colours
    assert {Severity.WARNING} == {one.severity for one in read.findings}


def test_a_category_that_is_not_trained_on_is_none_and_told(path: Path) -> None:
    """Its row has 0 for every category."""
    encoding = table.read(classify(path), seed=7).encoding
    new = {"age": ["30"], "colour": ["mauve"], "price": ["1"]}
    assert [[30, 0, 0, 0, 1]] == encoding.encode(new).tolist()
    (found,) = encoding.findings(new)
    assert "column `colour`: 1 cells are of no category that the training part has, such as 'mauve'" == found.text


def test_rows_that_repeat_stay_together(tmp_path: Path) -> None:
    """But for the target, the same row is one source, however its numbers are written."""
    again = [[number, f"{age}.0", f" {colour}", price, kind] for number, age, colour, price, kind in ROWS[:10]]
    settings = classify(write(tmp_path / "twice.csv", ROWS + again))
    dataset = table.load(settings, seed=7)
    assert_apart(dataset)
    assert 50 == sum(map(len, parts(dataset)))
    assert_sound(dataset)


@pytest.mark.parametrize("cell", ["ten", "inf", "1e60", "1,5"])
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, cell: str) -> None:
    """By file, row and column, with what to do."""
    settings = classify(write(tmp_path / "goods.csv", changed(17, "age", cell)))
    with pytest.raises(SettingsError, match=f"goods.csv: row 17, column `age`: '{cell}' is no number .* categorical"):
        table.load(settings, seed=7)


def test_a_missing_target_is_named(tmp_path: Path) -> None:
    """It can't be filled."""
    settings = classify(write(tmp_path / "goods.csv", changed(5, "kind", "")))
    with pytest.raises(SettingsError, match=r"goods.csv: row 5, column `kind`: the target is missing"):
        table.load(settings, seed=7)


@pytest.mark.parametrize(
    "keys, told",
    [
        ({"target": "kin"}, "has no column `kin`; there are id, age, colour, price, kind"),
        ({"ignore": ("nothing",)}, "has no column `nothing`"),
        ({"target": "price"}, "column `price`: has 40 classes in 40 rows; set task to regression"),
        ({"task": "regression"}, "row 1, column `kind`: 'yes' is no number"),
        ({"ignore": ("id", "age", "colour", "price"), "categorical": ()}, "no column but `kind`"),
    ],
)
def test_columns_that_are_not_what_they_should_be(path: Path, keys: dict[str, object], told: str) -> None:
    """The text names the column."""
    settings = {"path": str(path), "target": "kind", "categorical": ("colour",), **keys}
    with pytest.raises(SettingsError, match=told):
        table.load(TableSettings(**settings), seed=7)  # type: ignore[arg-type]


def test_a_target_is_nothing_else() -> None:
    """One can't learn from what is asked for."""
    with pytest.raises(ValueError, match="target: can't be under categorical or ignore too"):
        TableSettings(path="x.csv", target="kind", categorical=("kind",))


@pytest.mark.parametrize(
    "content, told",
    [
        (b"", "every column must have a name"),
        (b"a,,b\n1,2,3\n", "every column must have a name"),
        (b"a,b,a\n1,2,3\n", "has several columns `a`"),
        (b"a,kind\n", "has no rows"),
        (b"a,kind\n1,x\n2\n", "row 2: has 1 cells, the header 2"),
        (b"a,kind\n\xff,x\n", "isn't a CSV file in UTF-8"),
        (b'a,kind\n"1,x\n', "isn't a CSV file in UTF-8"),
        (b"a,kind\n1,x\n2,x\n3,x\n", "column `kind`: has one value only, 'x'"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes, told: str) -> None:
    """With the file's name, and what is wrong with it."""
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=f"broken.csv: {told}"):
        table.load(TableSettings(path=str(path), target="kind"), seed=7)


def test_files_that_are_not_there_or_no_table(tmp_path: Path) -> None:
    """Each says what it isn't."""
    for name, told in (
        ("none.csv", "none.csv: can't be read"),
        ("none.parquet", "none.parquet: can't be read"),
        ("goods.xlsx", "goods.xlsx: must be called .csv or .parquet"),
    ):
        with pytest.raises(SettingsError, match=told):
            table.load(TableSettings(path=str(tmp_path / name), target="kind"), seed=7)
    (tmp_path / "bad.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(SettingsError, match=r"bad.parquet: isn't a Parquet file"):
        table.load(TableSettings(path=str(tmp_path / "bad.parquet"), target="kind"), seed=7)


def test_excel_s_mark_at_the_beginning_is_no_name(tmp_path: Path) -> None:
    """A byte order mark isn't part of the first column's name."""
    path = write(tmp_path / "goods.csv", ROWS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert 40 == sum(map(len, parts(table.load(classify(path), seed=7))))


def test_too_many_categories_are_refused(tmp_path: Path) -> None:
    """A column of names or numbers of its own is no category."""
    rows = [[str(n), str(n), f"name {n}", "1", "yes" if n % 2 else "no"] for n in range(2000)]
    with pytest.raises(SettingsError, match="column `colour`: has 1200 categories, at most 1000 may be"):
        table.load(classify(write(tmp_path / "goods.csv", rows)), seed=7)


def test_the_encoding_goes_with_the_model(path: Path) -> None:
    """As a file of the version: read back, it makes of cells the features that training saw."""
    found = table.material(classify(path), seed=7)
    encoding = Encoding.from_json(found.files[FILE])
    assert found.features == encoding.features
    train = found.dataset.train.inputs
    rows = [ROWS[int(age) - 20] for age in train[:, 0]]
    cells = {name: [row[HEADER.index(name)] for row in rows] for name in ("age", "colour", "price")}
    assert np.array_equal(train, encoding.encode(cells))


def test_an_encoding_that_is_none_is_refused() -> None:
    """Whatever else lies in the file."""
    for text in (b"{", b"[]", b'{"columns": [{"kind": "numeric", "name": "age"}]}'):
        with pytest.raises(SettingsError, match=r"^encoding\.json: isn't the encoding of a table"):
            Encoding.from_json(text)
