"""This tree beside an earlier one: how sure a ratio is, and what is taken from git."""

import subprocess
from pathlib import Path

import pytest

from loadtests.bench_before import BEFORE, NOW, entry, extract
from loadtests.served import ROOT


def rounds(*ratios: float) -> list[dict[str, dict[str, float]]]:
    """Rounds in which this tree took `ratios` of the processor time that the other took."""
    return [
        {NOW: {"cpu_micros": 50 * one, "throughput": 1.0}, BEFORE: {"cpu_micros": 50.0, "throughput": 2.0}}
        for one in ratios
    ]


def test_an_interval_leaves_out_what_chance_explains() -> None:
    """Of sixteen rounds the fifth from either end: fewer than five beyond the median are one case in forty."""
    found = entry(rounds(*(0.9 + number / 100 for number in range(16))))["cpu_micros"]

    assert (0.975, 0.94, 1.01) == tuple(round(found[key], 3) for key in ("median", "least", "most"))


def test_few_rounds_say_little() -> None:
    """Then the interval is all that was seen."""
    found = entry(rounds(1.2, 0.9, 1.0))

    assert (1.0, 0.9, 1.2) == tuple(round(found["cpu_micros"][key], 3) for key in ("median", "least", "most"))
    assert 0.5 == found["throughput"]["median"]


def test_a_commit_is_taken_from_git(tmp_path: Path) -> None:
    """Its sources, whatever the working tree holds; what git doesn't know is named."""
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "one.py").write_text("1")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "one"], check=True)
    (tmp_path / "service" / "one.py").write_text("2")
    folder = tmp_path / "taken"
    folder.mkdir()

    assert 12 == len(extract("HEAD", folder, root=tmp_path))
    assert "1" == (folder / "service" / "one.py").read_text()
    with pytest.raises(ValueError, match="no-such-commit"):
        extract("no-such-commit", folder, root=ROOT)
