"""Who is to blame when a worker dies: nobody for a kill from outside, whoever is alone at a second crash otherwise."""

from collections.abc import Callable

from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.errors import PoisonRequest, WorkerLost

CRASHES = 2
KILLS = 10


def suspect(batch: Batch, *, blameless: bool, condemn: Callable[[Exchange], None]) -> list[Batch]:
    """Note that a worker died with `batch`; what is to be tried again, each request alone.

    Who was alone at a second crash is refused, and given to `condemn` as the cause of both. That a worker was killed or
    stopped from outside (`blameless`) says nothing about a request; after KILLS of them it is given up, and may be sent
    again.
    """
    for exchange in batch.alive():
        exchange.kills += blameless
        exchange.deaths += not blameless
        if len(batch.exchanges) == 1 and exchange.deaths >= CRASHES:
            condemn(exchange)
            exchange.fail(PoisonRequest("the worker process ended each time that it held this request"))
        elif exchange.kills >= KILLS:
            exchange.fail(WorkerLost(f"{KILLS} worker processes were killed while they held this request"))
    return [Batch([exchange]) for exchange in batch.alive()]
