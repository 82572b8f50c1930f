"""Generations that are on their way out."""

import asyncio
from collections.abc import Callable, Iterator

import structlog

from service.engine.servable import Servable

GRACE = 600.0
"""Seconds in which sequences can go on, and texts be written, when their generation was replaced."""
_log = structlog.get_logger()


class Departures:
    """Owns the generations that get no new request, until each has answered what it had admitted and has ended.

    That may take `seconds`; what isn't answered by then is failed. One that was replaced lingers before: sequences that
    are in progress there get their next steps, and texts are written to their end, for `grace` seconds at most.
    `lingered` is told the name of a model of which a generation doesn't linger any more.
    """

    def __init__(self, seconds: float, *, grace: float = GRACE, lingered: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._grace = grace
        self._lingered = lingered
        self._tasks: dict[Servable, asyncio.Task[None]] = {}
        self._draining: dict[Servable, asyncio.Task[bool]] = {}
        self._lingering: dict[Servable, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Servable]:
        """Every generation whose workers haven't ended."""
        return iter(list(self._tasks))

    def lingering(self, name: str) -> list[Servable]:
        """Those of a model that may have sequences in progress, in the order in which they left."""
        return [model for model in self._lingering if model.name == name and model.sequences]

    def add(self, model: Servable, gone: Callable[[], None], *, lingers: bool = False) -> asyncio.Task[None]:
        """Let this generation go; `gone` is called when its workers have ended, and then the task is done."""
        loop = asyncio.get_running_loop()
        if lingers:
            self._lingering[model] = loop.create_task(model.linger(self._grace))
        self._draining[model] = loop.create_task(self._drain(model))
        task = self._tasks[model] = loop.create_task(self._depart(model, self._draining[model], gone))
        task.add_done_callback(lambda _: self._tasks.pop(model))
        return task

    def hurry(self, name: str) -> list[asyncio.Task[None]]:
        """None of a model lingers any more; a task for each that still has to answer."""
        for model in [one for one in self._lingering if one.name == name]:
            self._linger_no_more(model)
        return [task for model, task in self._tasks.items() if model.name == name]

    async def stop(self) -> None:
        """Wait for nobody's answers any more, and until all workers have ended."""
        for draining in list(self._draining.values()):
            draining.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _drain(self, model: Servable) -> bool:
        if lingering := self._lingering.get(model):
            await asyncio.wait({lingering})
            self._linger_no_more(model)
        return await model.drain(self._seconds)

    async def _depart(self, model: Servable, draining: asyncio.Task[bool], gone: Callable[[], None]) -> None:
        """Only `draining` is ever cancelled: a task that is cancelled before its first step would run nothing of this,
        and leave the workers behind.
        """
        try:
            await asyncio.wait({draining})
            if not draining.cancelled() and not draining.result():
                _log.warning("not everything was answered", model=model.name, version=model.version)
        finally:
            del self._draining[model]
            self._linger_no_more(model)
            await model.stop()
            gone()
            _log.info("ended", model=model.name, version=model.version)

    def _linger_no_more(self, model: Servable) -> None:
        if lingering := self._lingering.pop(model, None):
            lingering.cancel()
            self._lingered(model.name)
