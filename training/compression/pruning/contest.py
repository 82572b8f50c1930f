"""Which way to cut a network costs least: all are tried, since a cut without a fit takes seconds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

from torch import nn

from training.compression.pruning.allocation import Ranking, Rules
from training.compression.pruning.cost import Cost, Ledger
from training.compression.pruning.importance import Measure, estimate
from training.compression.pruning.narrowing import prune
from training.data.batches import Batch
from training.tasks.task import Task

MEASURES: Sequence[Measure] = get_args(Measure)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A `network` that was cut by an importance and a ranking, and its `loss` before it has learnt again."""

    network: nn.Module
    importance: Measure
    ranking: Ranking
    loss: float


def cut(
    network: nn.Module,
    *,
    ledger: Ledger,
    limit: Cost,
    multiple: int,
    rankings: Sequence[Ranking],
    task: Task,
    batches: Callable[[], Iterable[Batch]],
    loss: Callable[[nn.Module], float],
) -> Cut:
    """The cut with the least `loss` of all importances and `rankings`; of equals the first.

    Widths become multiples of `multiple`. Raises as `prune` does.
    """
    found = {measure: estimate(network, measure, task=task, batches=batches) for measure in MEASURES}
    rules = {one: Rules(ranking=one, multiple=multiple, narrowest=multiple) for one in rankings}
    cuts = []
    for ranking, measure in product(rankings, MEASURES):
        made = prune(network, found[measure], ledger=ledger, limit=limit, rules=rules[ranking])
        cuts.append(Cut(network=made, importance=measure, ranking=ranking, loss=loss(made)))
    return min(cuts, key=lambda one: one.loss)
