"""Runs in a line: which counts, and what isn't one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training import summaries
from tests.training.summaries import WINE
from training.summary import SUMMARY, Summary, latest, read


def keep(runs: Path, one: Summary, when: int) -> None:
    os.utime(summaries.keep(runs, one), (when, when))


def test_the_last_one_counts(tmp_path: Path) -> None:
    """Of a recipe's profiles the one that was told last; None where nothing was."""
    keep(tmp_path, WINE, 2_000_000_000)
    keep(tmp_path, replace(WINE, profile="tiny"), 1_000_000_000)
    found = latest(tmp_path, "wine")
    assert found is not None
    assert (WINE, 2_000_000_000) == (found.summary, found.when.timestamp())
    assert latest(tmp_path, "digits") is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"recipe": 1}', b"\xff"])
def test_what_is_no_summary_is_no_result(content: bytes, tmp_path: Path) -> None:
    """Files of another version, or cut off, are as if nothing had been told."""
    keep(tmp_path, WINE, 1)
    (tmp_path / "wine" / "quick" / SUMMARY).write_bytes(content)
    assert read(tmp_path / "wine" / "quick") is None


@pytest.mark.parametrize(
    "smaller, rival, loses", [(False, 0.95, True), (False, 0.9, False), (True, 0.8, True), (True, 0.95, False)]
)
def test_who_loses(smaller: bool, rival: float, loses: bool) -> None:
    """A baseline that does better; as well is no loss, and nothing loses to none."""
    assert loses == replace(WINE, smaller=smaller, baseline_value=rival).loses
    assert not replace(WINE, baseline=None, baseline_value=None).loses
