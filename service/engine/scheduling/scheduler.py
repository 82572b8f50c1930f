"""What a served model asks of its scheduler."""

from typing import Protocol

from service.engine.exchange import Exchange


class Scheduler(Protocol):
    """Takes exchanges and sees to it that each of them ends."""

    def submit(self, exchange: Exchange) -> None:
        """Queue it. Raises QueueFull or NotReady when it can't be taken; otherwise it ends later, never in here."""

    def precheck(self, allowance: float, weight: float) -> None:
        """Raises QueueFull or Infeasible if a request that may take `allowance` seconds would be refused for sure, even
        with a single row of the least `weight`.

        Cheap, and asked before a body is parsed; it needn't see everything that `submit` does.
        """

    def left(self, exchange: Exchange) -> None:
        """The exchange ended while it was queued."""

    @property
    def ready(self) -> bool:
        """Whether somebody is there to compute."""

    async def stop(self) -> None:
        """End the workers."""
