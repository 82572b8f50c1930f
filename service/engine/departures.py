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
        self._draining: set[asyncio.Task[None]] = set()

    def add(self, model: Servable, gone: Callable[[], None]) -> asyncio.Task[None]:
        """Let this generation go; `gone` is called when its workers have ended, and then the task is done."""
        task = asyncio.get_running_loop().create_task(self._depart(model, gone))
        self._tasks.add(task)
        self._draining.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self) -> None:
        """Wait for nobody's answers any more, and until all workers have ended."""
        for task in self._draining:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _depart(self, model: Servable, gone: Callable[[], None]) -> None:
        task = asyncio.current_task()
        assert task
        try:
            if not await model.drain(self._seconds):
                _log.warning("not everything was answered", model=model.name, version=model.version)
        finally:
            self._draining.discard(task)
            await model.stop()
            gone()
            _log.info("ended", model=model.name, version=model.version)
