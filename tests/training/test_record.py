"""The record of a fit: a line an epoch and the same for TensorBoard, each once, wherever the run was cut off."""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.test_fit import SETTINGS, fit
from training.data.split import Dataset
from training.fitted import Epoch
from training.optimization.tally import Tally
from training.record import EVENTS, LOG, Record, Recorder

TIMES = {"time", "seconds", "examples_per_second"}
LINE = Record(
    epoch=1,
    time=1.5,
    train_loss=0.5,
    validation={"loss": 0.25, "f1": 0.75},
    learning_rate=0.125,
    gradient_norm=2.0,
    seconds=3.0,
    examples_per_second=40.0,
    processes=1,
)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in line.items() if name not in TIMES} for line in lines(folder)]


def events(folder: Path) -> Mapping[str, list[tuple[int, float]]]:
    """What TensorBoard reads in a folder, with nothing forgiven: doubled steps would be shown twice."""
    found = EventAccumulator(str(folder), purge_orphaned_data=False).Reload()
    return {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def test_every_epoch_has_a_line(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """It says what the history says, and besides the rate, the gradient and how fast it went."""
    _, fitted = fit(dataset, tmp_path, quiet)
    found = lines(tmp_path)
    assert [1, 2, 3, 4] == [line["epoch"] for line in found]
    assert [epoch.train_loss for epoch in fitted.epochs] == [line["train_loss"] for line in found]
    assert [epoch.validation for epoch in fitted.epochs] == [line["validation"] for line in found]
    assert found[0]["learning_rate"] > found[-1]["learning_rate"] > 0
    for line in found:
        assert line["gradient_norm"] > 0
        assert 384 / line["seconds"] < line["examples_per_second"]  # validation isn't learning
        assert 1 == line["processes"]


def test_tensorboard_reads_the_same(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """Its own reader finds every figure of the log, by epoch."""
    fit(dataset, tmp_path, quiet)
    found = events(tmp_path)
    figures = ("learning_rate", "gradient_norm", "seconds", "examples_per_second")
    wanted = {f"train/{name}": [line[name] for line in lines(tmp_path)] for name in figures}
    wanted["train/loss"] = [line["train_loss"] for line in lines(tmp_path)]
    for name in ("loss", "accuracy"):
        wanted[f"validation/{name}"] = [line["validation"][name] for line in lines(tmp_path)]
    assert wanted.keys() == found.keys()
    for tag, values in wanted.items():
        assert [1, 2, 3, 4] == [step for step, _ in found[tag]]
        assert pytest.approx(values) == [value for _, value in found[tag]]


@pytest.mark.parametrize("too_much", [b"", b'{"epoch":3,"time":17'])
def test_a_killed_run_has_no_line_twice_and_none_missing(
    dataset: Dataset, tmp_path: Path, quiet: Console, too_much: bytes
) -> None:
    """An epoch that was written down but never saved is done and written again, whatever of its line was there."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(dataset, whole, quiet)
    fit(dataset, parts, quiet, stop_after=2)
    complete = (whole / LOG).read_bytes().splitlines(keepends=True)[2]
    (parts / LOG).write_bytes((parts / LOG).read_bytes() + (too_much or complete))
    torn = (whole / EVENTS).read_bytes()[len((parts / EVENTS).read_bytes()) :][:50]
    (parts / EVENTS).write_bytes((parts / EVENTS).read_bytes() + torn)
    before = lines(whole)
    fit(dataset, parts, quiet)
    assert untimed(whole) == untimed(parts)
    assert {(1, 2, 3, 4)} == {tuple(step for step, _ in values) for values in events(parts).values()}
    fit(dataset, whole, quiet)
    assert before == lines(whole)  # a finished run is left as it is


def test_the_time_of_an_epoch_outlives_an_interruption(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """What was written before a resumption stays byte for byte."""
    fit(dataset, tmp_path, quiet, stop_after=2)
    before = (tmp_path / LOG).read_bytes()
    fit(dataset, tmp_path, quiet)
    assert (tmp_path / LOG).read_bytes().startswith(before)


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    """JSON has no such numbers; TensorBoard isn't told of them, and the line is kept when the run goes on."""
    tally = Tally(processes=1)
    tally.add(loss=0.5, norm=math.inf, rate=0.1, examples=8)
    epoch = Epoch(number=0, train_loss=0.5, validation={"loss": 0.25, "f1": math.nan})
    Recorder(tmp_path).add(tally.record(epoch))
    Recorder(tmp_path).add(replace(LINE, epoch=2))
    assert [(None, None), (2.0, 0.75)] == [(one["gradient_norm"], one["validation"]["f1"]) for one in lines(tmp_path)]
    found = events(tmp_path)
    assert [(2, 2.0)] == found["train/gradient_norm"]
    assert [(2, 0.75)] == found["validation/f1"]
    assert [(1, 0.25), (2, 0.25)] == found["validation/loss"]


def test_the_norm_is_that_of_the_gradient_before_it_is_clipped(
    dataset: Dataset, tmp_path: Path, quiet: Console
) -> None:
    """Clipping to nearly nothing changes what is learnt in the first step, but not the norm that is logged of it."""
    norms = []
    for clip in (0.0, 1e-6):
        fit(dataset, tmp_path / str(clip), quiet, replace(SETTINGS, epochs=1, batch_size=384, clip=clip))
        norms += [line["gradient_norm"] for line in lines(tmp_path / str(clip))]
    assert norms[0] == norms[1] > 0
