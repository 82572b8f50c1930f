"""The front's side of one worker process, from its start to its end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from service.backends.backend import DEVICE_FAULT
from service.workers import wire
from service.workers.frames import ATTACHED, Frame, FrameError, Kind, decode
from service.workers.region import Region

_MAX_DESCRIPTORS = 1
_HANG_UP_GRACE = 1.0
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
_PASSED_ON_PREFIXES = ("CUDA_", "NVIDIA_", "OMP_", "OPENVINO_")


class ProcessListener(Protocol):
    """Who is told what a worker process says and when it ends. Called on the event loop."""

    def heard(self, frame: Frame, region: Region | None) -> None:
        """A frame came; `region` is the memory sent along, which the listener closes.

        A FrameError raised here ends the process, as one raised by the decoder does.
        """

    def exited(self, status: int, *, killed_by_us: bool) -> None:
        """The process is gone and reaped; `status` is negative for a signal. The last call."""


class WorkerProcess:
    """Owns the process, its socket and the descriptor that tells of its end."""

    def __init__(self, listener: ProcessListener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._killed = False
        self._gone = asyncio.Event()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket = ours
        with theirs:
            try:
                self._process = _spawn(theirs.fileno())
            except OSError:
                ours.close()
                raise
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._loop.add_reader(self._pidfd, self._ended)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped it (SIGSTOP) and not let it go on."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return False  # it has ended

    def send(self, frame: Frame, regions: Sequence[Region] = ()) -> None:
        """Send a frame, with the descriptors of `regions`. A process that is gone is not an error: `exited` follows.

        Raises OSError when there is no memory for it, or too many descriptors are under way.
        """
        try:
            wire.send(self._socket, frame, regions)
        except BlockingIOError:
            self.kill()  # the socket holds hundreds of frames: this worker has stopped reading
        except ConnectionError:
            return

    def kill(self) -> None:
        """End the process at once, if it hasn't ended by itself."""
        if self._process.poll() is None:
            self._killed = True
            self._process.send_signal(signal.SIGKILL)

    async def stop(self, grace: float) -> None:
        """Ask the process to end, and end it after `grace` seconds."""
        try:
            self.send(Frame(kind=Kind.STOP))
            await asyncio.wait_for(self._gone.wait(), grace)
        except OSError:  # it wasn't asked, or too much time has passed (TimeoutError)
            self.kill()
            await self._gone.wait()

    def _readable(self) -> bool:
        """Hear one frame; whether there may be another. The loop calls again while there is."""
        try:
            data, descriptors = wire.receive(self._socket, _MAX_DESCRIPTORS)
        except BlockingIOError:
            return False
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.call_later(_HANG_UP_GRACE, self.kill)  # it is ending; if it isn't, it is of no use any more
            return False
        try:
            self._hear(decode(data), descriptors)
        except FrameError:
            self.kill()
            return False
        return True

    def _hear(self, frame: Frame, descriptors: Sequence[int]) -> None:
        if bool(frame.flags & ATTACHED) != bool(descriptors):
            wire.close(descriptors)
            raise FrameError("a frame and the memory sent with it don't match")
        self._listener.heard(frame, Region.attach(descriptors[0]) if descriptors else None)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        try:
            while self._readable():  # what it said before it ended still counts
                pass
        finally:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            status = self._process.wait()
            self._gone.set()
            self._listener.exited(status, killed_by_us=self._killed)


def _spawn(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "service.workers.main", str(descriptor)],
        pass_fds=[descriptor],
        stdin=subprocess.DEVNULL,
        cwd="/",  # a name relative to where the server was started leads nowhere
        env=environment(),
        process_group=0,  # Ctrl-C at a terminal is for the front alone
    )


def environment() -> dict[str, str]:
    """What a worker may see of our environment: where programs and libraries are, and no secrets."""
    passed = {
        name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)
    }
    return passed | {"PYTHONPATH": str(_PACKAGE_ROOT), "ORT_DISABLE_TELEMETRY": "1"}


def cause_of(status: int) -> str:
    """A word for how a process ended: the signal's name, its exit status, or what that stands for."""
    if status == DEVICE_FAULT:
        return "device_fault"
    if status >= 0:
        return f"exit_{status}"
    return signal.Signals(-status).name.lower()
