"""What happens to a service besides its clients: workers that are killed or stopped, and models that change."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from loadtests.soaking.networks import LONG, QUICK, SECOND, VISITOR
from loadtests.soaking.scene import Scene
from loadtests.soaking.service import Service
from loadtests.soaking.shelf import Shelf

GROWN_SECONDS = 3.0
"""How long a worker has held shared memory before it may be killed: one that is ended while it loads its model, or is
tried on it, looks like a broken model, and three in a row are one."""

NAP_SECONDS = 1.0
GLANCE_SECONDS = 0.5


@dataclass(kw_only=True)
class Troubles:
    """Owns the count of what was done to one service; its methods are the threads that do it."""

    service: Service
    scene: Scene
    shelf: Shelf
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    visiting: bool = True

    def kill(self, seed: int, pause: float) -> None:
        """End a worker, or stop it until the service ends it, or stop it for a moment."""
        draw, grown = random.Random(seed), Grown(self.service)
        due = time.monotonic() + pause
        while not self.scene.over.is_set():
            self.scene.pause(GLANCE_SECONDS)
            victims = grown.workers()
            if not victims or time.monotonic() < due or self.scene.over.is_set():
                continue
            due = time.monotonic() + draw.uniform(0.5, 1.5) * pause
            victim, manner = draw.choice(victims), draw.choice(("killed", "killed", "killed", "stopped", "paused"))
            self.done[f"workers {manner}"] += 1
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL if manner == "killed" else signal.SIGSTOP)
            if manner == "paused":
                self.scene.pause(NAP_SECONDS)
                with suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGCONT)

    def publish(self, seed: int, pause: float) -> None:
        """In a repository that is polled: new versions, other files for the same version, and versions of nonsense."""
        draw = random.Random(seed)
        while not self.scene.over.is_set():
            what = draw.choice(("version", "version", "file", "nonsense"))
            if what == "version":
                self.shelf.add_version(QUICK)
            elif what == "file":
                self.shelf.replace(draw.choice((SECOND, LONG)))
            else:
                self.shelf.add_nonsense(QUICK)
            self.done[f"polled: {what}"] += 1
            self.scene.pause(draw.uniform(0.5, 1.5) * pause)

    def reload(self, seed: int, pause: float) -> None:
        """By the routes: other files for a version, each loaded at once; and a model that comes and goes."""
        draw, client = random.Random(seed), triton.InferenceServerClient(self.service.address, network_timeout=300)
        while not self.scene.over.is_set():
            network = draw.choice((QUICK, QUICK, SECOND, LONG, VISITOR))
            if network is not VISITOR:
                edition = self.shelf.replace(network)
                self._ask(f"loaded {network.name} {edition}", partial(client.load_model, network.name))
            elif self.visiting:
                self.visiting = not self._ask("unloaded", partial(client.unload_model, VISITOR.name))
            else:
                self.visiting = self._ask("loaded again", partial(client.load_model, VISITOR.name))
            self.scene.pause(draw.uniform(0.5, 1.5) * pause)
        client.close()

    def _ask(self, what: str, call: Callable[[], object]) -> bool:
        began, manner = time.monotonic(), what.partition(" ")[0]
        try:
            call()
        except InferenceServerException as error:
            # A worker that is killed while its model is tried makes a load fail, and the old generation goes on.
            self.done[f"route: {manner}, refused"] += 1
            if "worker ended" not in str(error):
                self.wrong.append(f"{what}: {error}")
            return False
        self.done[f"route: {manner}"] += 1
        longest = "seconds of the longest load"
        self.done[longest] = max(self.done[longest], round(time.monotonic() - began))
        return True


def settle(service: Service, wanted: int, seconds: float) -> list[str]:
    """Wait until so many workers run; what is wrong if they don't."""
    until = time.monotonic() + seconds
    while (count := len(service.workers())) != wanted:
        if time.monotonic() > until:
            return [f"{count} workers run after {seconds:.0f} s of peace, not {wanted}"]
        time.sleep(0.2)
    return []


class Grown:
    """Owns when each worker was first seen with its slots."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._since: dict[int, float] = {}

    def workers(self) -> list[int]:
        """Process ids of those that have had theirs for long enough."""
        now = time.monotonic()
        self._since = {pid: self._since.get(pid, now) for pid in self._service.workers() if _has_slots(pid)}
        return [pid for pid, since in self._since.items() if now - since > GROWN_SECONDS]


def _has_slots(pid: int) -> bool:
    try:
        return "memfd:" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:  # it has ended
        return False
