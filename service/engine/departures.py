"""Generations that are on their way out."""

import asyncio
from collections.abc import Callable

import structlog

from service.engine.servable import Servable

_log = structlog.get_logger()


class Departures:
    """Owns the generations that get no new request, until each has answered what it had admitted and has ended.

    That may take `seconds`; what isn't answered by then is failed.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining: set[asyncio.Task[bool]] = set()

    def add(self, model: Servable, gone: Callable[[], None]) -> asyncio.Task[None]:
        """Let this generation go; `gone` is called when its workers have ended, and then the task is done."""
        loop = asyncio.get_running_loop()
        draining = loop.create_task(model.drain(self._seconds))
        self._draining.add(draining)
        draining.add_done_callback(self._draining.discard)
        task = loop.create_task(self._depart(model, draining, gone))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Wait for nobody's answers any more, and until all workers have ended."""
        for draining in list(self._draining):
            draining.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _depart(self, model: Servable, draining: asyncio.Task[bool], gone: Callable[[], None]) -> None:
        """Only `draining` is ever cancelled: a task that is cancelled before its first step would run nothing of this,
        and leave the workers behind.
        """
        try:
            await asyncio.wait({draining})
            if not draining.cancelled() and not draining.result():
                _log.warning("not everything was answered", model=model.name, version=model.version)
        finally:
            await model.stop()
            gone()
            _log.info("ended", model=model.name, version=model.version)
