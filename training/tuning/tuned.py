"""What a search came to, as data (tune.json)."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from service.artifact.card import Machine
from training.tuning.trial import Trial

Ended: TypeAlias = Literal["done", "up", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """All `trials` of a recipe so far, judged by the validation metric `watch`; the `best` one is in the recipe `file`.

    `asked` are as many as there are, or as the last call asked for. `importance` is the share of the differences that
    each key explains, `ended` why no more was tried: all were `done`, the time was `up`, or somebody `interrupted` it.
    """

    name: str
    profile: str
    about: str
    watch: str
    better: Literal["smaller", "larger"]
    asked: int
    ended: Ended
    best: Trial
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    file: str
    page: str
    commit: str | None
    machine: Machine

    @property
    def command(self) -> str:
        """What publishes the best."""
        return shlex.join(("hone-train", "publish", self.file, "--profile", self.profile))

    def ranked(self) -> list[Trial]:
        """The trials, the best first: finished ones, then those that were given up, then those that failed."""
        order = ("finished", "pruned", "failed")
        sign = 1 if self.better == "smaller" else -1
        return sorted(self.trials, key=lambda one: (order.index(one.state), sign * (one.value or 0.0), one.number))

    def to_json(self) -> bytes:
        """All of it as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def shown(value: object) -> str:
    """A tried value as people read it."""
    return f"{value:.4g}" if isinstance(value, float) else msgspec.json.encode(value).decode().strip('"')
