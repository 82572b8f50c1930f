"""How many users there are when: shapes, and traces from files."""

from pathlib import Path

import pytest

from loadtests.shapes import SHAPES, TraceError, read_trace

TENTHS = range(10)


@pytest.mark.parametrize(
    "name, users",
    [
        ("ramp", [1, 10, 20, 30, 40, 50, 60, 70, 80, 90]),
        ("spike", [10, 10, 10, 10, 100, 100, 10, 10, 10, 10]),
        ("step", [20, 20, 40, 40, 60, 60, 80, 80, 100, 100]),
        ("soak", [1, 100, 100, 100, 100, 100, 100, 100, 100, 100]),
    ],
)
def test_shapes(name: str, users: list[int]) -> None:
    """A hundred users over a hundred seconds, looked at every ten."""
    plan = SHAPES[name](100, 100.0)

    assert users == [plan(10.0 * tenth) for tenth in TENTHS]


@pytest.mark.parametrize("name", SHAPES)
def test_there_is_always_a_user_and_never_too_many(name: str) -> None:
    """Also of very few, and at every moment of a short run."""
    for users in (1, 3):
        plan = SHAPES[name](users, 7.0)
        assert all(1 <= plan(second / 10) <= users for second in range(70))


def test_a_rise_is_a_minute_at_most() -> None:
    """However long the run is."""
    plan = SHAPES["soak"](60, 36_000.0)

    assert [1, 30, 60, 60] == [plan(second) for second in (0.5, 30, 60, 35_999)]


def write(folder: Path, text: str) -> Path:
    path = folder / "trace.csv"
    path.write_text(text)
    return path


def test_a_trace_is_replayed(tmp_path: Path) -> None:
    """A number holds until the next row; before the first there is nobody, and the last row is the end."""
    trace = read_trace(write(tmp_path, "second,users\n1,5\n2.5,0\n4,7\n6,0\n"))

    assert [0, 5, 5, 0, 7, 7] == [trace.at(second) for second in (0, 1, 2.4, 2.5, 4, 5.9)]
    assert (6.0, False) == (trace.seconds, trace.is_arrivals)
    assert read_trace(write(tmp_path, "second,arrivals\n0,100\n60,100\n")).is_arrivals


@pytest.mark.parametrize(
    "text, why",
    [
        ("", ": expected lines of second,users or second,arrivals"),
        ("time,users\n0,1\n1,0\n", ":1: expected second,users or second,arrivals, got time,users"),
        ("second,users\n0,1\n0,2\n", ":3: seconds ascend, got 0 after 0"),
        ("second,users\n0,1\nx,2\n", ":3: expected a second and a whole number, got x,2"),
        ("second,users\n0,1.5\n1,2\n", ":2: expected a second and a whole number, got 0,1.5"),
        ("second,users\n0,1\n\n", ":3: expected a second and a whole number, got "),
        ("second,users\n0,1\n1,0,0\n", ":3: a second is at most"),
        ("second,users\n-1,1\n1,0\n", ":2: a second is at most"),
        ("second,users\n0,1\nnan,0\n", ":3: a second is at most"),
        ("second,users\n0,1000001\n1,0\n", ":2: a second is at most"),
        ("second,users\n0,5\n", ": a trace needs a row with users, and one that says when it ends"),
        ("second,users\n0,0\n9,5\n", ": a trace needs a row with users"),
    ],
)
def test_a_bad_trace_is_named(tmp_path: Path, text: str, why: str) -> None:
    """File, line, and what was expected."""
    path = write(tmp_path, text)

    with pytest.raises(TraceError) as error:
        read_trace(path)
    assert str(error.value).startswith(f"{path}{why}")


def test_a_trace_that_isnt_there(tmp_path: Path) -> None:
    """Or is no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(TraceError, match=r"gone\.csv: No such file"):
        read_trace(tmp_path / "gone.csv")
    with pytest.raises(TraceError, match="binary: not a text"):
        read_trace(tmp_path / "binary")
