"""The record of a fit, beside its checkpoint: a log for programs, and the same figures for TensorBoard.

Times differ from run to run, so nothing else may depend on these files; what later steps read is `history.json`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from training.durable import naming, put

LOG = "log.jsonl"
EVENTS = "events.out.tfevents.hone"
"""TensorBoard knows its files by the middle of this name."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A line of the log: one epoch, counted from 1, which ended at `time` (seconds since 1970).

    `learning_rate` is that of its last step, `gradient_norm` the mean over its steps, before clipping; `seconds` are
    with validation, `examples_per_second` without; `processes` is how many shared the work. What isn't finite is null.
    """

    epoch: int
    time: float
    train_loss: float
    validation: Mapping[str, float | None]
    learning_rate: float
    gradient_norm: float | None
    seconds: float
    examples_per_second: float
    processes: int


class Recorder:
    """Owns the log and the events of one fit in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._log, self._events = folder / LOG, folder / EVENTS
        self._begun = False

    def add(self, record: Record) -> None:
        """Write down an epoch, before its checkpoint is saved: what a kill leaves too much, the next run takes away.

        Raises OSError that names the file.
        """
        if not self._begun:
            self._begin(record)
        with naming(self._log), self._log.open("ab") as file:
            file.write(_line(record))
        with naming(self._events), self._events.open("ab") as file:
            _write_events(file, _event(record))
        self._begun = True

    def _begin(self, first: Record) -> None:
        """Keep the lines before `first`, and make the events anew from them: both may end in the middle of a word."""
        kept = list(_before(first.epoch, self._log))
        put(self._log, b"".join(map(_line, kept)))
        with naming(self._events), self._events.open("wb") as file:
            _write_events(file, Event(wall_time=[*kept, first][0].time, file_version="brain.Event:2"))
            _write_events(file, *map(_event, kept))


def _before(epoch: int, log: Path) -> Iterator[Record]:
    for line in log.read_bytes().splitlines() if log.exists() else ():
        try:
            record = msgspec.json.decode(line, type=Record)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if record.epoch >= epoch:
            return
        yield record


def _line(record: Record) -> bytes:
    return msgspec.json.encode(record) + b"\n"


def _write_events(file: Any, *events: Event) -> None:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())


def _event(record: Record) -> Event:
    told = {
        "train/loss": record.train_loss,
        "train/learning_rate": record.learning_rate,
        "train/gradient_norm": record.gradient_norm,
        "train/seconds": record.seconds,
        "train/examples_per_second": record.examples_per_second,
        **{f"validation/{name}": value for name, value in record.validation.items()},
    }
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in told.items() if value is not None]
    return Event(wall_time=record.time, step=record.epoch, summary=Summary(value=values))
