import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.trace_file import MOST_FILES, Series, TraceFile

SCRIPT = """
import resource, sys, time
from pathlib import Path
from service.trace_file import Series, TraceFile

resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
file, series = TraceFile(Path(sys.argv[1]), 10**6), Series(0, indexed=False)
for number, padding in ((1, 9), (2, 9), (3, 500), (4, 9)):
    file.put(series, {"id": number, "padding": "x" * padding})
    time.sleep(0.3)
file.close()
"""


def ids(path: Path) -> list[int]:
    """Of the traces in a file, which must be whole."""
    return [trace["id"] for trace in json.loads(path.read_bytes())]


def eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def put(file: TraceFile, series: Series, *numbers: int, **more: Any) -> None:
    for number in numbers:
        file.put(series, {"id": number, **more})


def test_the_file_is_whole_while_it_grows(tmp_path: Path) -> None:
    """Whoever reads it meanwhile finds an array; nothing but the end of the server is needed for all to be there."""
    path = tmp_path / "trace.json"
    path.write_text("what an earlier run left")
    file, series = TraceFile(path, 10**6), Series(0, indexed=False)
    put(file, series, 1)
    eventually(lambda: path.read_bytes().startswith(b"["))
    assert [1] == ids(path)
    put(file, series, 2, 3)
    eventually(lambda: ids(path) == [1, 2, 3])
    put(file, Series(0, indexed=False), 4)
    file.close()

    assert [1, 2, 3, 4] == ids(path)


@pytest.mark.parametrize("indexed", [False, True])
def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path, *, indexed: bool) -> None:
    """Somebody has moved it elsewhere to look at it, and what comes then isn't lost."""
    path = tmp_path / ("t.0" if indexed else "t")
    file, series = TraceFile(tmp_path / "t", 10**6), Series(10 if indexed else 0, indexed=indexed)
    put(file, series, 1)
    eventually(path.exists)
    eventually(lambda: ids(path) == [1])
    path.rename(tmp_path / "elsewhere")
    put(file, series, 2, 3)
    file.close()

    assert [[1], [2, 3]] == [ids(tmp_path / "elsewhere"), ids(path)]


def test_numbered_files_hold_so_many_each(tmp_path: Path) -> None:
    """Series share the numbers, and each begins with a file of its own."""
    file, two, all_of_them = TraceFile(tmp_path / "t", 10**6), Series(2, indexed=True), Series(0, indexed=True)
    put(file, two, 1, 2, 3)
    put(file, all_of_them, 4, 5, 6)
    put(file, two, 7)
    file.close()

    assert [[1, 2], [3, 7], [4, 5, 6]] == [ids(tmp_path / f"t.{number}") for number in range(3)]
    assert not (tmp_path / "t").exists()


def test_nothing_is_written_beyond_the_bound(tmp_path: Path) -> None:
    """What was written before stays whole."""
    file, series = TraceFile(tmp_path / "t", 2000), Series(1, indexed=True)
    put(file, series, *range(100), padding="x" * 100)
    file.close()

    assert "--max-trace-bytes" == file.reached
    written = list(tmp_path.iterdir())
    assert 10 < len(written) < 20
    assert sum(path.stat().st_size for path in written) <= 2000 + 2 * len(written)
    assert sorted(ids(path)[0] for path in written) == list(range(len(written)))


def test_there_are_so_many_files_and_no_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """However few traces each of them takes, and however often that is set anew; it is said once."""
    file = TraceFile(tmp_path / "t", 10**9)
    put(file, Series(1, indexed=True), *range(MOST_FILES - 1))
    for number in range(3):
        put(file, Series(2, indexed=True), MOST_FILES - 1 + 3 * number, MOST_FILES + 3 * number)
    file.close()

    assert f"{MOST_FILES} files" == file.reached
    assert {f"t.{number}" for number in range(MOST_FILES)} == {path.name for path in tmp_path.iterdir()}
    assert [MOST_FILES - 1, MOST_FILES] == ids(tmp_path / f"t.{MOST_FILES - 1}")
    assert 1 == capsys.readouterr().out.count(f"traces have reached {MOST_FILES} files: no more are written")


def test_a_full_disk_costs_traces_only(tmp_path: Path) -> None:
    """Nobody who puts a trace hears of it, and what the file held is whole when there is room again."""
    broken = TraceFile(Path("/dev/full"), 10**6)
    put(broken, Series(0, indexed=False), 1, 2)
    broken.close()
    path = tmp_path / "trace.json"
    file, series = TraceFile(path, 10**6), Series(0, indexed=False)
    put(file, series, 1)
    eventually(lambda: path.exists() and ids(path) == [1])
    path.chmod(0)
    put(file, series, 2)
    file.close()
    path.chmod(0o600)

    assert ids(path) in ([1], [1, 2])  # root may write where nobody may


def test_a_write_that_stops_half_way_is_undone(tmp_path: Path) -> None:
    """The file ends as it did before, and takes what there is room for."""
    path = tmp_path / "trace.json"
    subprocess.run([sys.executable, "-c", SCRIPT, str(path)], check=True, capture_output=True)

    assert [1, 2, 4] == ids(path)
