"""Runs in a line: which counts, and what isn't one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from training.bootstrap import Figure
from training.summary import SUMMARY, Summary, latest, read

ONE = Summary(
    recipe="wine",
    profile="quick",
    about="Wines",
    problem="classification",
    network="mlp",
    headline="accuracy",
    smaller=False,
    figure=Figure(value=0.9, low=0.8, high=0.95),
    baseline="majority class",
    baseline_value=0.4,
    goal_met=True,
    goal="goal met",
    parameters=100,
    size=1000,
    fit_seconds=3.0,
    latency_ms=None,
    commit=None,
)


def keep(runs: Path, one: Summary, when: int) -> None:
    path = runs / one.recipe / one.profile / SUMMARY
    path.parent.mkdir(parents=True)
    path.write_bytes(one.to_json())
    os.utime(path, (when, when))


def test_the_last_one_counts(tmp_path: Path) -> None:
    """Of a recipe's profiles the one that was told last; None where nothing was."""
    keep(tmp_path, ONE, 2_000_000_000)
    keep(tmp_path, replace(ONE, profile="tiny"), 1_000_000_000)
    found = latest(tmp_path, "wine")
    assert found is not None
    assert (ONE, 2_000_000_000) == (found.summary, found.when.timestamp())
    assert latest(tmp_path, "digits") is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"recipe": 1}', b"\xff"])
def test_what_is_no_summary_is_no_result(content: bytes, tmp_path: Path) -> None:
    """Files of another version, or cut off, are as if nothing had been told."""
    keep(tmp_path, ONE, 1)
    (tmp_path / "wine" / "quick" / SUMMARY).write_bytes(content)
    assert read(tmp_path / "wine" / "quick") is None


@pytest.mark.parametrize(
    "smaller, rival, loses", [(False, 0.95, True), (False, 0.9, False), (True, 0.8, True), (True, 0.95, False)]
)
def test_who_loses(smaller: bool, rival: float, loses: bool) -> None:
    """A baseline that does better; as well is no loss, and nothing loses to none."""
    assert loses == replace(ONE, smaller=smaller, baseline_value=rival).loses
    assert not replace(ONE, baseline=None, baseline_value=None).loses
