"""What admission promises: whoever is let in will, as far as can be foreseen, be finished in time.

That holds for a new request, and for those that it would go ahead of because it is due sooner: the earliest deadline
first is right only as long as all can be met. In a flood of urgent requests the patient ones would else be pushed back
until they are late.
"""

from service.engine.exchange import Exchange
from service.engine.scheduling.foresight import HASTE, Foresight, due, milliseconds
from service.engine.scheduling.outlook import Outlook
from service.engine.scheduling.queue import RequestQueue
from service.errors import Infeasible


def check_promises(foresight: Foresight | Outlook, queue: RequestQueue, exchange: Exchange) -> None:
    """Raises Infeasible if it can't be finished in time, or if only because of it another of its level couldn't be."""
    rows, level, now, deadline = exchange.rows, exchange.level, exchange.admitted, exchange.deadline
    if deadline - now < HASTE:
        foresight.hurry(now)
    if foresight.is_plenty(queue.rows + rows, deadline - now):
        return
    ahead = queue.rows_before(level, now, deadline)
    foresight.check(rows, ahead, now, deadline, exchange.weight)
    behind = queue.behind(level, now, deadline)
    if not behind:
        return
    total, own = sum([other.rows for other in behind]), behind[0].rows
    finish = now + foresight.wait(own, ahead + rows, now)
    delay = finish - now - foresight.wait(own, ahead, now)
    per_row = (now + foresight.wait(own, ahead + rows + total, now) - finish) / total
    for other in behind:
        if due(other) < finish <= other.deadline + delay:
            raise Infeasible(
                f"would push one that was admitted before, and has {milliseconds(other.deadline - now)} left, back to"
                f" {milliseconds(finish - now)} from now; {ahead} rows are to be computed before both",
                finish - other.deadline,
            )
        finish += other.rows * per_row
