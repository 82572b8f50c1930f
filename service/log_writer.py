"""Lines of the log on their way to a stream that may not be read: who writes one never waits for its reader."""

import contextlib
import json
import threading
import time
from queue import Full, Queue
from typing import TextIO

_MOST_WAITING = 16_384
"""Lines that wait to be written; further ones are counted and lost."""
_PATIENCE = 2.0
"""Seconds that whoever reads the log may take at the end."""


class LogWriter:
    """Owns the lines that wait for `stream`, and the thread that writes them; it is a file to whoever logs.

    How many lines were lost is told in one of their own, in JSON, as soon as others can be written again.
    """

    def __init__(self, stream: TextIO, *, most: int = _MOST_WAITING) -> None:
        self._stream = stream
        self._waiting: Queue[str | None] = Queue(most)
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        """See `io.TextIOBase`; returns at once."""
        try:
            self._waiting.put_nowait(text)
        except Full:
            self._lost += 1
        return len(text)

    def flush(self) -> None:
        """See `io.TextIOBase`; lines are written as soon as they can be, and `close` waits for them."""

    def close(self) -> None:
        """Wait until all is written, for some seconds at most. What is written later is lost."""
        until = time.monotonic() + _PATIENCE
        with contextlib.suppress(Full):
            self._waiting.put(None, timeout=_PATIENCE)
        self._thread.join(max(until - time.monotonic(), 0.0))

    # -- in the thread

    def _run(self) -> None:
        while (text := self._waiting.get()) is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody is there to read it, or to be told so
                self._stream.write(text)
                if self._waiting.empty():
                    self._stream.flush()
                    self._tell_lost()

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            line = {"event": "the log was read too slowly: lines are lost", "level": "warning", "lost": lost}
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
