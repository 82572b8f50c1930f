"""The containers of docker-compose.yml, under a project name and on ports of their own."""

import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
PORTS = {"HONE_HTTP_PORT": "0", "HONE_METRICS_PORT": "0", "PROMETHEUS_PORT": "0"}  # the engine takes free ones
OURS = ("HONE_", "LOCUST_", "COMPOSE_")

Found = TypeVar("Found")


class Stack:
    """Owns a project: nothing else that the engine runs is touched, and a stack of `make up` may run beside it."""

    def __init__(self, project: str) -> None:
        tool = os.environ.get("COMPOSE", "docker-compose").split()
        self._command = [*tool, "--project-name", project, "--profile", "load"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        self._environment = inherited | PORTS | {"HONE_MODEL_REPOSITORY": "./models", "LOCUST_SECONDS": "3"}

    def start(self, *words: str, seconds: float) -> subprocess.Popen[str]:
        """A compose command under way, bounded by `timeout`."""
        return subprocess.Popen(
            ["timeout", str(seconds), *self._command, *words],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def compose(self, *words: str, seconds: float = 60) -> str:
        """What a compose command said; the test fails when the command does."""
        code, said = self.attempt(*words, seconds=seconds)
        if code != 0:
            pytest.fail(f"compose {' '.join(words)} failed with {code}:\n{said[-3000:]}", pytrace=False)
        return said

    def attempt(self, *words: str, seconds: float = 60) -> tuple[int, str]:
        """The exit code of a compose command (124: too slow), and what it said."""
        with self.start(*words, seconds=seconds) as process:
            said, _ = process.communicate()
        return process.returncode, said

    def up(self) -> None:
        """Start what isn't running, as `make up` does; returns when Hone is healthy."""
        code, said = self.attempt("up", "--detach", "hone", "prometheus", seconds=120)
        if code != 0:
            _, log = self.attempt("logs", "--tail", "20", "hone")
            pytest.fail(f"the stack didn't start ({code}):\n{said[-2000:]}\n{log}", pytrace=False)

    def address(self, service: str, port: int) -> str:
        """Where a port of a container is published: 127.0.0.1:32768."""
        return self.compose("port", service, str(port)).split()[-1]

    def container(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container, running or not."""
        (name,) = docker("ps", "--all", "--quiet", *self._labels(service)).split()
        (found,) = json.loads(docker("inspect", name))
        return dict(found)

    def inside(self, program: str) -> str:
        """What a Python program prints that runs in Hone's container, as the service does."""
        return docker("exec", self.container("hone")["Id"], "python", "-c", program)

    def _labels(self, service: str) -> list[str]:
        project = self._command[self._command.index("--project-name") + 1]
        labels = (f"com.docker.compose.project={project}", f"com.docker.compose.service={service}")
        return [word for label in labels for word in ("--filter", f"label={label}")]


def docker(*words: str) -> str:
    """What a docker command prints."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True, timeout=60).stdout


def get(url: str) -> tuple[int, bytes]:
    """Status and body of a GET; 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


def query(prometheus: str, expression: str) -> list[float]:
    """The values that Prometheus has for an expression now."""
    status, body = get(f"http://{prometheus}/api/v1/query?query={urllib.parse.quote(expression)}")
    return [float(one["value"][1]) for one in json.loads(body)["data"]["result"]] if status == 200 else []


def eventually(ask: Callable[[], Found], expected: Sequence[Found], seconds: float = 30) -> Found:
    """What `ask` says once that is one of `expected`; after `seconds`, whatever it says."""
    until = time.monotonic() + seconds
    while (found := ask()) not in expected and time.monotonic() < until:
        time.sleep(0.2)
    return found
