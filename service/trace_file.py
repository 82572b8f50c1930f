"""The files that traces are written to: arrays of JSON objects, which are complete whenever somebody looks."""

import contextlib
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, BinaryIO

import orjson
import structlog

_BEGIN, _BETWEEN, _END = b"[\n", b",\n", b"\n]\n"
MOST_FILES = 1000
"""Numbered files that a run of the server writes: clients say how few traces each of them takes."""
_MOST_WAITING = 4096
"""Traces that wait for the disk; further ones are dropped."""
_PAUSE = 0.2
"""Seconds in which traces gather, so that a file isn't opened for each."""
_PATIENCE = 5.0
"""Seconds that a disk may take at the end."""
_log = structlog.get_logger()


class Series:
    """Traces under one setting: they go to the one file or, if `indexed`, to numbered ones, `per_file` in each.

    `path` is where the next one goes and `held` how many are there already; only the writer's thread looks at them. 0
    `per_file` stands for any number.
    """

    def __init__(self, per_file: int, *, indexed: bool) -> None:
        self.per_file = per_file
        self.indexed = indexed
        self.path: Path | None = None
        self.held = 0


class TraceFile:
    """Owns the file at `path`, its successors `path.0`, `path.1` and so on, and the thread that writes them.

    A run of the server writes over what an earlier one left. Once `max_bytes` were written, or MOST_FILES files, it
    writes no more, and `reached` says which of both it was. A disk that can't be written to costs traces and a line in
    the log, and no request.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.reached = ""
        self._max_bytes = max_bytes
        self._bytes = 0
        self._index = 0
        self._begun = False
        self._problem = ""
        self._lost = 0
        self._waiting: Queue[tuple[Series, Mapping[str, Any]] | None] = Queue(_MOST_WAITING)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, series: Series, trace: Mapping[str, Any]) -> None:
        """Have a trace written soon; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait((series, trace))
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Wait until all is written, for some seconds at most. Nothing may be put afterwards."""
        if self._thread:
            self._ending.set()
            with contextlib.suppress(Full):
                self._waiting.put(None, timeout=_PATIENCE)
            self._thread.join(_PATIENCE)

    # -- in the thread

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            self._ending.wait(_PAUSE)
            gathered, ends = self._gather(first)
            try:
                self._save(gathered)
            except Exception:
                _log.exception("can't write traces")
            if ends:
                return

    def _gather(self, first: tuple[Series, Mapping[str, Any]]) -> tuple[dict[Series, list[Mapping[str, Any]]], bool]:
        """All that wait, by series; whether they are the last."""
        gathered: dict[Series, list[Mapping[str, Any]]] = {}
        waiting: tuple[Series, Mapping[str, Any]] | None = first
        with contextlib.suppress(Empty):
            while waiting:
                series, trace = waiting
                gathered.setdefault(series, []).append(trace)
                waiting = self._waiting.get_nowait()
            return gathered, True
        return gathered, False

    def _save(self, gathered: Mapping[Series, Sequence[Mapping[str, Any]]]) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            _log.warning("traces came faster than they could be written", lost=lost)
        for series, traces in gathered.items():
            texts = [orjson.dumps(trace) for trace in traces]
            try:
                while texts and not self.reached:
                    room = self._room(series)
                    self._append(series, texts[:room])
                    texts = texts[room:] if room else []
            except OSError as error:
                if self._problem != str(error.strerror):  # said once, not for each
                    self._problem = str(error.strerror)
                    _log.error("can't write traces", reason=self._problem)

    def _room(self, series: Series) -> int | None:
        """How many more traces go where the series is now; None for any number."""
        if series.path is None or (series.held >= series.per_file > 0):
            series.path, series.held = self.path, 0
            if series.indexed:
                series.path = self.path.with_name(f"{self.path.name}.{self._index}")
                self._index += 1
        return series.per_file - series.held if series.per_file else None

    def _append(self, series: Series, texts: Sequence[bytes]) -> None:
        """Raises OSError; what the file held before is complete then, too."""
        assert series.path
        content = _BETWEEN.join(texts) + _END
        if self._bytes + len(content) > self._max_bytes or self._index > MOST_FILES:
            self.reached = f"{MOST_FILES} files" if self._index > MOST_FILES else "--max-trace-bytes"
            _log.warning(f"traces have reached {self.reached}: no more are written", written=self._bytes)
            return
        begun = (series.held > 0 if series.indexed else self._begun) and series.path.exists()  # it may be taken away
        with series.path.open("r+b" if begun else "wb", buffering=0) as file:
            place = file.seek(-len(_END), os.SEEK_END) if begun else 0
            try:
                _write(file, (_BETWEEN if begun else _BEGIN) + content)
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(place)
                    file.seek(place)
                    file.write(_END if begun else b"")
                raise
        self._begun = self._begun or not series.indexed
        self._bytes += len(content)
        self._problem = ""
        series.held += len(texts)


def _write(file: BinaryIO, content: bytes) -> None:
    """All of it: a file without a buffer may take a part at a time, and says that a disk is full only then."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]
