"""The access log: a line for each request, once it is answered."""

import contextlib
import threading
import time
from datetime import UTC, datetime
from queue import Empty, Full, Queue

import structlog

from service.quoting import quoted
from service.telemetry.call import Call

_MOST_WAITING = 8192
"""Lines that wait to be written; further ones are counted and dropped."""
_PAUSE = 0.1
"""Seconds in which lines gather, so that they are written one after the other."""
_PATIENCE = 2.0
"""Seconds that whoever reads the log may take at the end."""
_log = structlog.get_logger()


class AccessLog:
    """Owns the lines that wait, and the thread that writes them: whoever reads the log slowly slows no request."""

    def __init__(self) -> None:
        self._waiting: Queue[tuple[float, Call] | None] = Queue(_MOST_WAITING)
        self._ending = threading.Event()
        self._lost = 0
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def put(self, call: Call) -> None:
        """Have a line written of a call that has ended; returns at once."""
        try:
            self._waiting.put_nowait((time.time(), call))
        except Full:
            self._lost += 1

    def close(self) -> None:
        """Wait until all is written, for some seconds at most. Nothing may be put afterwards."""
        self._ending.set()
        with contextlib.suppress(Full):
            self._waiting.put(None, timeout=_PATIENCE)
        self._thread.join(_PATIENCE)

    # -- in the thread

    def _run(self) -> None:
        log, one = _log.bind(), self._waiting.get()  # bound once, which takes longer than a line
        while one is not None:
            when, call = one
            log.info("access", timestamp=datetime.fromtimestamp(when, UTC).isoformat(), **_line(call))
            try:
                one = self._waiting.get_nowait()
            except Empty:
                lost, self._lost = self._lost, 0
                if lost:
                    log.warning("requests came faster than the access log could be written", lost=lost)
                self._ending.wait(_PAUSE)
                one = self._waiting.get()


def _line(call: Call) -> dict[str, str | int | float]:
    """What is said of it. Words of a client are quoted where they may hold anything, and cut."""
    what: dict[str, str | int | float] = {"method": call.method} if call.method else {}
    what |= {("path" if call.method else "rpc"): quoted(call.target)[1:-1], "status": call.status}
    if call.model:
        what |= {"model": quoted(call.model)[1:-1], "outcome": call.outcome}
    what |= {"ms": round((call.ended - call.began) * 1e3, 3), "bytes_in": call.received, "bytes_out": call.sent}
    more = {"version": quoted(call.version)[1:-1], "reason": call.reason, **call.named}
    return what | {name: value for name, value in more.items() if value}
