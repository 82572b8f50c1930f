"""One container of the stack, as the engine knows it."""

import json
import subprocess
import time
from typing import Any

UP, STARTING = "is up", "is starting still"
WAIT_SECONDS = 330
"""Hone may load for 300 seconds before its health counts."""


class Container:
    """Looks at the container `name`, and changes nothing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._labels: dict[str, str] = self._inspect()["Config"]["Labels"]

    @property
    def service(self) -> str:
        """What docker-compose.yml calls it."""
        return self._labels["com.docker.compose.service"]

    @property
    def is_lasting(self) -> bool:
        """Whether it is the service's own, and not one of `docker-compose run`."""
        return self._labels["com.docker.compose.oneoff"] == "False"

    def wait(self) -> str:
        """Its condition, once it isn't starting any more, or has been for too long."""
        until = time.monotonic() + WAIT_SECONDS
        while (condition := self.condition()) == STARTING and time.monotonic() < until:
            time.sleep(0.5)
        return condition

    def condition(self) -> str:
        """UP, STARTING, or what there is to say about it."""
        found = self._inspect()
        state = found["State"]
        status, health = state["Status"], state.get("Health", {}).get("Status")
        if (status == "running" and health in {None, "healthy"}) or (status == "exited" and state["ExitCode"] == 0):
            return UP  # or it had something to do, and has done it
        if status not in {"created", "running"}:
            return f"ended with exit code {state['ExitCode']}"
        if found["RestartCount"]:
            return "ended and was started again"
        return "isn't healthy" if health == "unhealthy" else STARTING

    def last_words(self) -> str:
        """The end of its log."""
        command = ["docker", "logs", "--tail", "10", self._name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.stdout.rstrip()

    def _inspect(self) -> dict[str, Any]:
        command = ["docker", "inspect", self._name]
        (found,) = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return dict(found)
