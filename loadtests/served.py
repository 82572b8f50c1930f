"""A server process for as long as something is measured on it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import IO

from loadtests.process_tree import descendants, running

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 60.0
STOP_SECONDS = 20.0
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


class ServerError(Exception):
    """The server ended or didn't get ready; the text holds the last lines it wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """A running server: its port, and the process at the root of its tree; where it has them, the other ports."""

    port: int
    pid: int
    metrics_port: int | None = None
    grpc_port: int | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def metrics_url(self) -> str:
        """Where Prometheus would ask it. Hone only."""
        return f"http://{HOST}:{self.metrics_port}"

    @property
    def grpc_target(self) -> str:
        """Where its gRPC door is, if it was started with one."""
        return f"{HOST}:{self.grpc_port}"


@contextmanager
def hone(
    repository: Path,
    *,
    port: int = 0,
    metrics_port: int = 0,
    grpc: bool = False,
    flags: Sequence[str] = (),
    patience: float = START_SECONDS,
    tree: Path = ROOT,
) -> Iterator[Served]:
    """Hone on `repository` while the block runs, a port of 0 meaning any that is free, `grpc` with that door too, from
    the sources in `tree`.

    Raises ServerError, also when it isn't ready after `patience` seconds.
    """
    port, metrics_port = port or free_port(), metrics_port or free_port()
    grpc_port = free_port() if grpc else None
    ports = ["--host", HOST, "--http-port", str(port), "--metrics-port", str(metrics_port)]
    if (tree / "service" / "protocol" / "grpc").exists():  # an old tree has no such door
        ports += ["--grpc-port", str(grpc_port)] if grpc else ["--no-allow-grpc"]
    command = [sys.executable, "-m", "service", "run", "--model-repository", str(repository.resolve()), *ports, *flags]
    # Settings meant for the user's own server must not change what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}
    environment["PYTHONPATH"] = str(tree)
    ready = "/v2/health/ready"
    with serving(command, port=port, ready=ready, environment=environment, patience=patience, folder=tree) as served:
        yield replace(served, metrics_port=metrics_port, grpc_port=grpc_port)


@contextmanager
def serving(
    command: Sequence[str],
    *,
    port: int,
    ready: str,
    environment: Mapping[str, str] | None = None,
    patience: float = START_SECONDS,
    folder: Path = ROOT,
) -> Iterator[Served]:
    """`command` in `folder` while the block runs, from when a GET of `ready` answers 200. Raises ServerError."""
    with tempfile.TemporaryFile("w+b") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait_ready(process, port, ready, log, patience)
            yield Served(port=port, pid=process.pid)
        finally:
            _stop(process)


def leave_on_sigterm() -> None:
    """From now on SIGTERM ends this process through every `finally`, so that no server is left behind."""

    def leave(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """True when a server could listen on this port now."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError:
            return False
        return True


def _wait_ready(process: subprocess.Popen[bytes], port: int, path: str, log: IO[bytes], patience: float) -> None:
    deadline = time.monotonic() + patience
    while not _answers(port, path):
        if os.waitid(os.P_PID, process.pid, _ENDED):
            raise ServerError(f"the server ended; it said:\n{_tail(log)}")
        if time.monotonic() > deadline:
            raise ServerError(f"the server isn't ready after {patience:.0f} s; it said:\n{_tail(log)}")
        time.sleep(0.05)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end, then end whatever is left of the group that it leads, and of those it started."""
    if process.returncode is None:
        started = descendants(process.pid)
        os.kill(process.pid, signal.SIGTERM)  # not `terminate`, which reaps a process that has ended
        deadline = time.monotonic() + STOP_SECONDS
        # Unreaped until the group is gone: as long as it is a zombie, nobody else can have its id, or the group's.
        while time.monotonic() < deadline and not os.waitid(os.P_PID, process.pid, _ENDED):
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for one in running(started):  # it may have started groups of their own
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)


def _tail(log: IO[bytes], lines: int = 15) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
