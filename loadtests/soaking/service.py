"""The service under a soak: a process of its own, whose log, temporary files and exit code are looked at."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.process_tree import descendants
from loadtests.served import HOST, ROOT, ServerError, free_port

START_SECONDS = 120.0
STOP_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service; `folder` holds its log and its temporary files."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    folder: Path

    @property
    def address(self) -> str:
        """Host and port, as tritonclient wants them."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the front."""
        return self.process.pid

    def workers(self) -> list[int]:
        """Process ids of the front's children."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far; a line that is no JSON as an event of its own."""
        found = []
        for line in (self.folder / "log").read_text(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": line, "level": "error"})
        return found

    def temporary(self) -> list[str]:
        """Names of the temporary files that it has left."""
        return sorted(path.name for path in (self.folder / "tmp").iterdir())

    def stop(self) -> list[str]:
        """SIGTERM; what was wrong with its end."""
        started = descendants(self.pid)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return [f"it didn't end within {STOP_SECONDS:.0f} s of SIGTERM"]
        left = [one.pid for one in started if Path(f"/proc/{one.pid}").exists()]
        found = [f"it ended with exit code {code}"] if code else []
        found += [f"{len(left)} of its processes were left"] if left else []
        return found + ([f"temporary files were left: {self.temporary()}"] if self.temporary() else [])


@contextmanager
def soaked(repository: Path, folder: Path, flags: Sequence[str]) -> Iterator[Service]:
    """The service while the block runs, ready. Raises ServerError. It is killed if it still runs at the end."""
    port, metrics_port = free_port(), free_port()
    ports = [
        "--host",
        HOST,
        "--http-port",
        str(port),
        "--metrics-port",
        str(metrics_port),
        "--no-allow-grpc",
        "--log-format",
        "json",
    ]
    words = ["run", "--model-repository", str(repository), "--cache-dir", str(folder / "cache"), *ports, *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HONE_")}
    (folder / "tmp").mkdir(parents=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", *words],
            cwd=ROOT,
            env={**environment, "TMPDIR": str(folder / "tmp")},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = Service(process=process, port=port, metrics_port=metrics_port, folder=folder)
    try:
        _wait(service)
        yield service
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(service: Service) -> None:
    until = time.monotonic() + START_SECONDS
    while not any(line.get("event") == "ready" for line in service.log()):
        if service.process.poll() is not None or time.monotonic() > until:
            raise ServerError(f"the service didn't get ready; it said {service.log()[-5:]}")
        time.sleep(0.1)
