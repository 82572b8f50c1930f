"""How smaller networks are had of a trained one: routes and remedies, and whom each is made of and taught by."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.errors import SettingsError
from training.compression.distillation.answers import teachable
from training.compression.distillation.settings import DistilSettings
from training.compression.distillation.student import SHARES, smaller
from training.compression.pruning.catalogue import units_of
from training.compression.search.design import Network
from training.tasks.task import Game, Task

PRUNED, SHALLOW, STUDENT = "pruned", "shallow", "student"
"""Cut, as Taylor or another measure says; a student with fewer layers, and one with narrower ones."""
HINTED, ASSISTED, GRADUAL = "hinted", "assisted", "gradual"
"""By what layers make of an input; by the next larger student; after one more cut between."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A network is cut out of the one `above` it, or begins with its weights; the `teacher` teaches it."""

    above: Network
    teacher: Network


def routes_of(config: Any, task: Task, distil: DistilSettings) -> Mapping[str, Sequence[str]]:
    """How a network of this `config` can be made smaller, with the remedies of each route; see `Subject`.

    Who learns in a game isn't taught: it is cut, and plays on. One more cut comes before hints, which
    hardly help.
    """
    if isinstance(task, Game):
        return {PRUNED: ()}
    try:
        units_of(config)
        students = (STUDENT,) if smaller(config, depth=min(SHARES)) == config else (SHALLOW, STUDENT)
    except SettingsError:  # nothing is known of it, which is told when it is tried
        return {PRUNED: ()}
    shown = distil.fit.acceleration not in {"compiled", "both"}
    hinted = (HINTED,) if shown and not distil.hints and teachable(task) else ()
    return {PRUNED: (GRADUAL, *hinted), **dict.fromkeys(students, (*hinted, ASSISTED))}


def lineage_of(network: Network, there: Collection[Network]) -> Lineage:
    """Students begin with weights of who teaches them, pruned networks with those of the next larger one.

    That is one of those who are `there`, the teacher among them: nobody has to learn only to be cut further. A remedy
    begins where what is usual does; if pruning is to be gradual, there is one more network between, which learns if
    need be. Raises SettingsError where no larger student could assist.
    """
    usual = replace(network, remedy="")
    larger = usual.larger
    if network.route == PRUNED:
        halfway = replace(usual, share=round(math.sqrt(larger.share * network.share), 2))
        while larger not in there:
            larger = larger.larger
        return Lineage(above=halfway if network.remedy == GRADUAL else larger, teacher=Network())
    if network.remedy != ASSISTED:
        return Lineage(above=Network(), teacher=Network())
    if larger == Network():
        raise SettingsError(f"{network.name}: there is no larger student to assist")
    return Lineage(above=larger, teacher=larger)
