"""The containers of docker-compose.yml, by whichever docker-compose there is."""

import os
import subprocess
from collections.abc import Mapping, Sequence

from deploy.docker.container import STARTING, UP, Container
from deploy.docker.remedies import remedies

PAGES = {
    "hone": "8000/docs",
    "prometheus": "9090/",
    "alertmanager": "9093/",
    "grafana": "3000/",
    "locust-master": "8089/",
}
"""What there is to see in a browser: a service's port in its container, and a path."""


class NotUpError(Exception):
    """Something isn't up; the text says what, its last words, and what to do where that is known."""


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
            failed = [container for container in self._started() if container.condition() not in {UP, STARTING}]
            raise NotUpError(_told(failed, "".join(said)))
        failed = [container for container in self._started(*services) if container.wait() != UP]
        if failed:
            raise NotUpError(_told(failed, ""))

    def page(self, service: str) -> str:
        """The URL of a service's page."""
        port, slash, path = PAGES[service].partition("/")
        return f"http://{self._read('port', service, port).strip()}{slash}{path}"

    def _started(self, *services: str) -> list[Container]:
        found = map(Container, self._read("ps", "--all", "--quiet", *services).split())
        return [container for container in found if container.is_lasting]

    def _read(self, *words: str) -> str:
        return subprocess.run(
            [*self._command, *words], env=self._environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout


def _told(failed: Sequence[Container], said: str) -> str:
    """What is wrong with each container, and what to do about all that was said."""
    words = [container.last_words() for container in failed]
    lines = [f"{one.service} {one.condition()}:\n{log}" for one, log in zip(failed, words, strict=True)]
    return "\n".join(["The stack isn't up.", *lines, *remedies("\n".join([said, *words]))])
