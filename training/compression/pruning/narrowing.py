"""A smaller network out of a network: its config is rewritten, and the weights of what stays are copied."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from training.compression.pruning.allocation import Counts, Rules, allocate, most_important
from training.compression.pruning.catalogue import resized, units_of
from training.compression.pruning.cost import Cost, Ledger, measure
from training.compression.pruning.importance import Importance, estimate
from training.compression.pruning.settings import PruneSettings
from training.compression.pruning.units import cut, unit_sets
from training.data.batches import Batch
from training.networks.catalogue import build
from training.tasks.task import Task


def pruned(
    network: nn.Module,
    settings: PruneSettings,
    *,
    limit: Cost,
    ask: Callable[[nn.Module], Any],
    task: Task,
    batches: Callable[[], Iterable[Batch]],
) -> nn.Module:
    """One round of pruning: the network as `settings` make it smaller, for it to cost at most `limit`.

    `ask` asks it about one input, by which costs are counted. What matters is estimated by the loss of `task` on
    `batches` of the training part, where the settings go by a loss. Raises as `prune` does.
    """
    ledger = measure(network, units_of(network.config), ask)
    importance = estimate(network, settings.importance, task=task, batches=batches)
    return prune(network, importance, ledger=ledger, limit=limit, rules=settings.rules)


def prune(network: nn.Module, importance: Importance, *, ledger: Ledger, limit: Cost, rules: Rules) -> nn.Module:
    """A smaller network of the same kind that costs at most `limit`, as `ledger` counts; that one is left as it was.

    Its weights are those of the units that were kept. If even the smallest that `rules` allow costs more, that one is
    returned. Raises SettingsError for a kind whose units aren't known, and ValueError if rules name others.
    """
    return narrowed(network, importance, allocate(ledger, importance, limit=limit, rules=rules))


def narrowed(network: nn.Module, importance: Importance, counts: Counts) -> nn.Module:
    """The network with these `counts` of its units, the most important ones of each set, in evaluation mode.

    Raises ArtifactError if its weights aren't those that its config says.
    """
    units = units_of(network.config)
    number = {one.name: counts[units_.name] for units_ in units for one in units_.sets}
    kept = {one.name: most_important(importance[one.name], number[one.name], one.protected) for one in unit_sets(units)}
    dropped = [one.layer for one in units if one.layer and not counts[one.name]]
    config: Any = resized(network.config, counts)
    smaller = build(config, seed=0)
    smaller.load_state_dict(cut(network.state_dict(), units, kept, dropped))
    return smaller.eval()
