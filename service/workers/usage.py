"""What the processes of an instance use, as the kernel counts it."""

import os

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_UTIME, _STIME, _RSS = 11, 12, 21
"""Places in /proc/<pid>/stat behind the name, see proc(5)."""


class Usage:
    """Owns the account of one process after another: the processor time of all of them, the memory of the one that is.

    Written on the event loop, read from any thread.
    """

    def __init__(self) -> None:
        # What ended processes took, and the pid of the one that lives: replaced together, so that no reader sees the
        # time of a process twice, or not at all.
        self._account: tuple[float, int] = (0.0, 0)

    def begin(self, pid: int) -> None:
        """A process has started, whose parent is this one."""
        self._account = (self._account[0], pid)

    def end(self) -> None:
        """It has ended, and isn't reaped yet: so long the kernel still tells what it took."""
        self._account = (self.cpu_seconds, 0)

    @property
    def cpu_seconds(self) -> float:
        """Processor time so far, in user and system mode; never less than before."""
        spent, fields = self._read()
        return spent + (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK if fields else spent

    @property
    def resident_bytes(self) -> int:
        """Memory of the process that lives; 0 while there is none."""
        _, fields = self._read()
        return int(fields[_RSS]) * _PAGE if fields else 0

    def _read(self) -> tuple[float, list[bytes]]:
        """What ended processes took, and the kernel's figures of the one that lives, none while there is none."""
        while True:
            account = spent, pid = self._account
            try:
                fields = _fields(pid) if pid else []
            except OSError:
                fields = []
            if account is self._account:  # else it has ended meanwhile, and the pid may be another's by now
                return spent, fields


def _fields(pid: int) -> list[bytes]:
    """What stands behind the name. Without Python's files it takes a third of the time."""
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        return os.read(descriptor, 4096).rpartition(b")")[2].split()
    finally:
        os.close(descriptor)
