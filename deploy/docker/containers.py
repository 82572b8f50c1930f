"""The containers of docker-compose.yml, by whichever docker-compose there is."""

import json
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

PAGES = {
    "hone": "8000/docs",
    "prometheus": "9090/",
    "alertmanager": "9093/",
    "grafana": "3000/",
    "locust-master": "8089/",
}
"""What there is to see in a browser: a service's port in its container, and a path."""
PORTS = ("HONE_HTTP", "HONE_GRPC", "HONE_METRICS", "PROMETHEUS", "ALERTMANAGER", "GRAFANA", "LOCUST")
UP, STARTING = "is up", "is starting still"
WAIT_SECONDS = 330
"""Hone may load for 300 seconds before its health counts."""
REMEDIES = (
    (
        r"address already in use|port is already allocated",
        f"That port is taken: stop who has it, or choose another ({', '.join(f'{name}_PORT' for name in PORTS)}).",
    ),
    (
        r"permission denied|read-only file system|no space left",
        "It can't write there. `docker volume rm` removes a volume with all that it holds; the next start makes it.",
    ),
    (
        r"pull access denied|manifest unknown|no such host|dial tcp|timeout exceeded|tls: |x509: ",
        "An image can't be had from its registry. Fewer services: make up SERVICES='hone prometheus alertmanager'.",
    ),
    (
        r"bind source path does not exist",
        "A folder that is to be mounted isn't there: HONE_MODEL_REPOSITORY is absolute, or begins with a dot.",
    ),
)
"""What to do, by what Docker or a service said."""


class NotUpError(Exception):
    """A service isn't up; the text says which, its last words, and what to do where that is known."""


class Containers:
    """Starts services and waits for them. `command` is docker-compose, `environment` what it reads besides ours."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = [*command]
        self._environment = {**os.environ, **environment}

    def up(self, services: Sequence[str]) -> None:
        """Build and start what isn't running, and wait until each is healthy. Raises NotUpError."""
        command = [*self._command, "up", "--build", "--detach", *services]
        said = []
        with subprocess.Popen(
            command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                said.append(line)
        if process.returncode != 0:
            raise NotUpError("\n".join(["The stack isn't up.", *remedies("".join(said))]))
        for service in services:
            for container in self._read("ps", "--quiet", service).split():
                _wait(service, container)

    def page(self, service: str) -> str:
        """The URL of a service's page."""
        port, slash, path = PAGES[service].partition("/")
        return f"http://{self._read('port', service, port).strip()}{slash}{path}"

    def _read(self, *words: str) -> str:
        return subprocess.run(
            [*self._command, *words], env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout


def remedies(said: str) -> list[str]:
    """What to do about it."""
    return [remedy for pattern, remedy in REMEDIES if re.search(pattern, said, re.IGNORECASE)]


def _wait(service: str, container: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while (condition := _condition(container)) != UP:
        if condition != STARTING or time.monotonic() > until:
            command = ["docker", "logs", "--tail", "10", container]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            raise NotUpError("\n".join([f"{service} {condition}:", done.stdout.rstrip(), *remedies(done.stdout)]))
        time.sleep(0.5)


def _condition(container: str) -> str:
    """Whether a container is up; else what there is to say about it."""
    command = ["docker", "inspect", container]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)[0]
    state = found["State"]
    status, health = state["Status"], state.get("Health", {}).get("Status")
    if (status == "running" and health in {None, "healthy"}) or (status == "exited" and state["ExitCode"] == 0):
        return UP  # or it had something to do, and has done it
    if status not in {"created", "running"}:
        return f"ended with exit code {state['ExitCode']}"
    if found["RestartCount"]:
        return "ended and was started again"
    return "isn't healthy" if health == "unhealthy" else STARTING
