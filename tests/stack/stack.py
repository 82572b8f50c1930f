"""The containers of docker-compose.yml, under a project name and on ports of their own."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from deploy.docker.remedies import PORTS

ROOT = Path(__file__).resolve().parents[2]
OURS = ("HONE_", "LOCUST_", "COMPOSE_")
SERVICES = ("hone", "prometheus", "alertmanager")
"""What there is an image of wherever the tests run: Grafana's has to be pulled."""
PROFILES = ("headless", "load", "triton", "train", "trace")

Found = TypeVar("Found")


class Stack:
    """Owns a project: nothing else that the engine runs is touched, and a stack of `make up` may run beside it.

    `variables` are what docker-compose.yml is told in the environment, besides ports, which the engine chooses.
    """

    def __init__(self, project: str, **variables: str) -> None:
        self.project = project
        self._command = os.environ.get("COMPOSE", "docker-compose").split()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        free = {f"{name}_PORT": "0" for name in PORTS}
        named = {"COMPOSE_PROJECT_NAME": project, "COMPOSE_PROFILES": ",".join(PROFILES)}
        self._environment = inherited | free | named | {"HONE_MODEL_REPOSITORY": "./models"} | variables

    def told(self, **variables: str) -> "Stack":
        """The same project, told something else."""
        other = Stack(self.project)
        other._environment = self._environment | variables
        return other

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

    def up(self, *services: str) -> None:
        """Start what isn't running, as `make up` does; returns when all are healthy."""
        code, said = self.attempt_up(*(services or SERVICES))
        if code != 0:
            pytest.fail(f"the stack didn't start ({code}):\n{said[-3000:]}", pytrace=False)

    def attempt_up(self, *services: str) -> tuple[int, str]:
        """The exit code of `make up`, and what it said."""
        command = [sys.executable, "-m", "deploy.docker", *services]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment | {"COMPOSE": " ".join(self._command)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        return done.returncode, done.stdout

    def remove(self) -> None:
        """Containers, network and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", seconds=120)

    def address(self, service: str, port: int) -> str:
        """Where a port of a container is published: 127.0.0.1:32768."""
        return self.compose("port", service, str(port)).split()[-1]

    def container(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container, running or not."""
        (name,) = docker("ps", "--all", "--quiet", *self._labels(service)).split()
        (found,) = json.loads(docker("inspect", name))
        return dict(found)

    def log(self, service: str) -> str:
        """What a service has said."""
        return self.compose("logs", "--no-color", service)

    @contextmanager
    def aside(self, **variables: str) -> Iterator[str]:
        """Another Hone in the project's network, told something else: the name of its container, for a block."""
        name = f"{self.project}-aside"
        self.told(**variables).compose("run", "--detach", "--no-deps", "--name", name, "hone")
        try:
            yield name
        finally:
            docker("rm", "--force", name)

    def inside(self, program: str, container: str = "") -> str:
        """What a Python program prints that runs in Hone's container, as the service does."""
        return docker("exec", container or self.container("hone")["Id"], "python", "-c", program)

    def _labels(self, service: str) -> list[str]:
        labels = {"project": self.project, "service": service, "oneoff": "False"}
        return [word for name in labels for word in ("--filter", f"label=com.docker.compose.{name}={labels[name]}")]


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
