"""The barest server with or without a worker process. `python -m loadtests.lone_floor.relay PORT LAYER WORKLOAD`.

LAYER is how much it does: `answer` answers every request with the same bytes, `hop` asks another process first, over a
socket like that of Hone's workers, and `run` has that process compute the workload's sample before it says so.
"""

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import ClassVar

import uvloop

from loadtests.bare import BareProtocol, serve
from loadtests.raw_runtime import RawRuntime
from loadtests.workloads.cache import model_file
from loadtests.workloads.catalogue import WORKLOADS

LAYERS = ("answer", "hop", "run")
_BODY = b" " * 256
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY) + _BODY


class Relay(BareProtocol):
    """Answers a GET at once, and any other request when the worker has answered, if there is one."""

    worker: ClassVar["Worker | None"] = None

    def request(self, *, is_get: bool) -> None:
        """See `BareProtocol`."""
        if is_get or self.worker is None:
            self._answer()
        else:
            self.worker.ask(self._answer)

    def _answer(self) -> None:
        self.transport.write(_ANSWER)


class Worker:
    """Owns a process that answers each message on its socket with another, and who waits for that."""

    def __init__(self, layer: str, workload: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", __spec__.name, "worker", layer, workload, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        self._socket.recv(1)  # it is ready
        self._waiting: deque[Callable[[], None]] = deque()
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._answered)

    def ask(self, answered: Callable[[], None]) -> None:
        """Have it do its work, and call `answered` then."""
        self._waiting.append(answered)
        self._socket.send(b"?")

    def _answered(self) -> None:
        self._socket.recv(1)
        self._waiting.popleft()()


def work(layer: str, workload: str, descriptor: int) -> None:
    """What the worker's process does, until the other end is closed."""
    one = WORKLOADS[workload]
    runtime = RawRuntime(model_file(one), threads=one.threads) if layer == "run" else None
    row = one.sample()
    with socket.socket(fileno=descriptor) as asked:
        asked.send(b"!")
        while asked.recv(1):
            if runtime:
                runtime.answer(row)
            asked.send(b"!")


async def relay(port: int, layer: str, workload: str) -> None:
    """Until ended."""
    if layer != "answer":
        Relay.worker = Worker(layer, workload)
    await serve(Relay, port)


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        work(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(relay(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
