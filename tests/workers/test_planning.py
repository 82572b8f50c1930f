"""Telling a worker what to load: what it may say, and when it may end."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
import structlog

from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.errors import ArtifactError
from service.workers.frames import Frame
from service.workers.payloads import Ready
from service.workers.planning import Planning
from service.workers.process import WorkerProcess
from service.workers.region import Region
from service.workers.trial import WorkerEnded

PLAN = Plan(backend="fake", path="")
READY = Ready(signature=Signature(inputs=(), outputs=()), runtime="fake", sha256="")


class Process:
    """A process that is sent frames and does nothing."""

    def __init__(self) -> None:
        self.plans: list[int] = []
        self.killed = False

    def send(self, frame: Frame, regions: Sequence[Region] = ()) -> None:
        self.plans.append(frame.plan)

    def kill(self) -> None:
        self.killed = True


def begin(seconds: float = 10.0) -> tuple[Process, Planning, "asyncio.Task[Ready]"]:
    process = Process()
    planning = Planning(cast("WorkerProcess", process), seconds, structlog.get_logger())
    return process, planning, asyncio.create_task(planning.load(PLAN, []))


async def test_plans_are_numbered_and_answered_one_after_the_other() -> None:
    """Each waits for an answer of its own."""
    process, planning, first = begin()
    await asyncio.sleep(0)
    planning.loaded(READY)
    assert READY is await first
    planning.loaded(READY)  # nobody asked
    second = asyncio.create_task(planning.load(PLAN, []))
    await asyncio.sleep(0)
    assert planning.refused("not a model")

    with pytest.raises(ArtifactError, match="not a model"):
        await second
    assert not planning.refused("again")
    assert ([1, 2], 2) == (process.plans, planning.number)


@pytest.mark.parametrize("answered", [False, True])
async def test_a_worker_that_ends_has_not_loaded_anything(answered: bool) -> None:
    """Not even if it said so a moment ago, and whoever waits hasn't heard of that yet."""
    _, planning, loading = begin()
    await asyncio.sleep(0)
    if answered:
        planning.loaded(READY)
    planning.ended("sigkill")

    with pytest.raises(WorkerEnded, match="sigkill"):
        await loading


async def test_a_worker_that_takes_too_long_is_ended() -> None:
    """There is a limit, which the error names."""
    process, _, loading = begin(0.01)

    with pytest.raises(ArtifactError, match=r"within 0\.01 s"):
        await loading
    assert process.killed
