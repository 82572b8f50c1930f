"""A run in a line, and where runs keep such lines."""

from pathlib import Path

from training.bootstrap import Figure
from training.summary import SUMMARY, Summary

WINE = Summary(
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


def keep(runs: Path, summary: Summary) -> Path:
    """Where it lies now."""
    path = runs / summary.recipe / summary.profile / SUMMARY
    path.parent.mkdir(parents=True)
    path.write_bytes(summary.to_json())
    return path
