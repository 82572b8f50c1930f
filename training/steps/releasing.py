"""The step that publishes what a run made, if the recipe's goal is met."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from training import publish as publishing
from training.publish import Published, Release
from training.signing_key import SigningKey
from training.steps.journal import Journal, R


def release(
    journal: Journal[R],
    repository: Path,
    releases: Callable[[], Iterable[Release]],
    *,
    goal_met: bool,
    keep: int | None,
    key: SigningKey | None,
) -> tuple[Published, ...]:
    """The `releases`, made only if the goal is met, all before the first is published in their order; else nothing."""
    start = time.perf_counter()
    if not goal_met:
        journal.note("publish", start, cached=False, result="nothing: the goal isn't met")
        return ()
    done = tuple(publishing.publish(repository, one, keep=keep, key=key) for one in tuple(releases()))
    fresh = any(one.new or one.renewed for one in done)
    journal.note("publish", start, cached=not fresh, result=f"{len(done)} models" if len(done) > 1 else "1 model")
    return done
