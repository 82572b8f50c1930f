"""One service with everything that happens to it, and what is found wrong in the end."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from loadtests.soaking import mischief, roles
from loadtests.soaking.ledger import LEFT, OK, Ledger
from loadtests.soaking.networks import FRAGILE, LONG, QUICK, SECOND, VISITOR, Network
from loadtests.soaking.scene import Scene
from loadtests.soaking.scrapes import Scrapes
from loadtests.soaking.service import Service, soaked
from loadtests.soaking.shelf import Shelf
from loadtests.soaking.troubles import Troubles, settle
from loadtests.soaking.vitals import Vital, abiding, look

LOOK_SECONDS = 1.0
SETTLE_SECONDS = 60.0
JOIN_SECONDS = 90.0
SPARE_DESCRIPTORS = 4
"""That a front may hold more after all clients have gone than before they came: what it opens on first use."""

POLL, EXPLICIT = "poll", "explicit"
FLAGS: Mapping[str, Sequence[str]] = {
    POLL: ("--model-control-mode", "poll", "--repository-poll-secs", "0.5"),
    EXPLICIT: ("--model-control-mode", "explicit", "--load-model", "*"),
}
NETWORKS: Mapping[str, Sequence[Network]] = {POLL: (QUICK, SECOND, LONG), EXPLICIT: (QUICK, SECOND, LONG, VISITOR)}
FAULTS = ("invalid_request",)
DEADLINES = ("deadline_infeasible", "deadline_exceeded")
ALLOWED: Mapping[str, Sequence[str]] = {
    "steady": (OK,),
    "careful": (OK,),
    "stream": (OK,),
    "visitor": (OK, "model_not_found", "unavailable"),
    "pressing": (OK, "unavailable", "deadline_exceeded"),
    "hurried": (OK, *DEADLINES),
    "senseless": FAULTS,
    "impatient": (LEFT,),
    "poisonous": ("crashed_worker", "backend_error"),
}
"""How requests of each role may end: nothing else was provoked."""


@dataclass(kw_only=True)
class Stage:
    """Owns one service's clients, troubles and observations."""

    mode: str
    service: Service
    scene: Scene
    troubles: Troubles
    vitals: list[Vital] = field(default_factory=list)
    scrapes: Scrapes = field(default_factory=Scrapes)
    wrong: list[str] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _before: Vital | None = None

    @classmethod
    @contextmanager
    def of(cls, mode: str, folder: Path) -> Iterator["Stage"]:
        """A service in that model control mode while the block runs, with nobody on the stage yet."""
        shelf = Shelf(folder / "models")
        for network in NETWORKS[mode]:
            shelf.begin(network)
        shelf.begin_fragile()
        with soaked(shelf.root, folder / "own", FLAGS[mode]) as service:
            scene = Scene(port=service.port, ledger=Ledger())
            troubles = Troubles(service=service, scene=scene, shelf=shelf)
            yield cls(mode=mode, service=service, scene=scene, troubles=troubles)

    def begin(self, pace: float, seed: int) -> None:
        """Let everybody on. `pace` is how long troubles pause on average, in seconds; clients' pauses are fixed."""
        self._before = look(self.service.pid)
        for part in (*self._clients(seed), *self._troubles(pace, seed), self._observe):
            thread = threading.Thread(target=self._guarded, args=(part,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self) -> None:
        """Let everybody finish, and stop the service. What was wrong is in `wrong` then."""
        self.scene.over.set()
        until = time.monotonic() + JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        hanging = sum(thread.is_alive() for thread in self._threads)
        self.wrong += [f"{hanging} clients hang"] if hanging else []
        wanted = sum(network.instances for network in NETWORKS[self.mode]) + 1  # and the fragile model's
        wanted -= 0 if self.troubles.visiting else VISITOR.instances
        self.wrong += settle(self.service, wanted, SETTLE_SECONDS)
        self.scrapes.scrape(self.service.metrics_port)
        self._look_back()
        self.wrong += self.service.stop()
        self.wrong += [
            f"logged: {line}" for line in self.service.log() if "exception" in line or "Traceback" in str(line)
        ]

    # -- who is on

    def _clients(self, seed: int) -> list[Callable[[], None]]:
        scene = self.scene
        found: list[Callable[[], None]] = [
            partial(roles.steady, scene, "steady", QUICK, seed=seed, pause=0.01, binary=True),
            partial(roles.steady, scene, "steady", QUICK, seed=seed + 1, pause=0.02, binary=False),
            partial(roles.steady, scene, "steady", SECOND, seed=seed + 2, pause=0.03, binary=True),
            partial(roles.steady, scene, "steady", LONG, seed=seed + 3, pause=0.05, binary=False),
            partial(roles.careful, scene, "careful", seed=seed + 4, pause=0.03),
            partial(roles.stream, scene, "stream", QUICK, rate=40.0, seed=seed, pause=2.0),
            partial(roles.stream, scene, "pressing", LONG, rate=60.0, seed=seed, pause=6.0, deadline_ms=150.0),
            partial(mischief.hurried, scene, "hurried", LONG, seed=seed + 5, pause=0.1),
            partial(mischief.senseless, scene, "senseless", QUICK, seed=seed + 6, pause=0.1),
            partial(mischief.impatient, scene, "impatient", LONG, seed=seed + 7, pause=0.1),
            partial(mischief.poisonous, scene, "poisonous", seed=seed + 8, pause=3.0),
        ]
        if VISITOR in NETWORKS[self.mode]:
            found.append(partial(roles.steady, scene, "visitor", VISITOR, seed=seed + 9, pause=0.05, binary=True))
        return found

    def _troubles(self, pace: float, seed: int) -> list[Callable[[], None]]:
        change = self.troubles.publish if self.mode == POLL else self.troubles.reload
        return [partial(self.troubles.kill, seed, pace), partial(change, seed, pace)]

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except Exception as error:  # a client that ends early would make the rest look better than it was
            self.wrong.append(f"the load test itself failed: {error!r}")

    # -- what is seen

    def _observe(self) -> None:
        while not self.scene.over.is_set():
            self.vitals.append(look(self.service.pid))
            self.scrapes.scrape(self.service.metrics_port)
            self.scene.pause(LOOK_SECONDS)

    def _look_back(self) -> None:
        """Enter what is wrong with what clients, metrics and the process table tell."""
        assert self._before
        after = look(self.service.pid)
        self.wrong += self.troubles.wrong
        self.wrong += self.scene.ledger.violations(ALLOWED)
        self.wrong += self.scrapes.sums()
        self.wrong += self._compared()
        # A worker has a socket and two slots here; the models may have changed their number.
        each = self._before.descriptors / max(1, self._before.workers)
        spare = SPARE_DESCRIPTORS + max(0, after.workers - self._before.workers) * each
        if after.descriptors > self._before.descriptors + spare:
            self.wrong.append(f"{after.descriptors} descriptors are open, there were {self._before.descriptors}")
        if after.shared > self._before.shared + spare:
            self.wrong.append(f"{after.shared} shared memories are held, there were {self._before.shared}")
        if left := abiding(self.vitals):
            self.wrong.append(f"{len(left)} ended processes weren't reaped for seconds")

    def _compared(self) -> list[str]:
        """Where the service's counters and the clients' differ, of models whose version never goes."""
        found = []
        lasting = [FRAGILE, SECOND.name, LONG.name] + ([QUICK.name] if self.mode == EXPLICIT else [])
        for model in lasting:
            seen, counted = self.scene.ledger.of_model(model), self.scrapes.outcomes(model)
            left = seen.pop(LEFT, 0)
            if not seen[OK] <= counted["ok"] <= seen[OK] + left:
                found.append(f"{model}: clients have {seen[OK]} answers, {left} went; counted are {counted['ok']}")
            total = sum(counted.values())
            if not seen.total() <= total <= seen.total() + left:
                found.append(f"{model}: clients sent {seen.total()} requests, {left} went; counted are {total}")
        return found
