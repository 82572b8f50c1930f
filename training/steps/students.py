"""Which students there are of a teacher: the shape of each, and those that somebody found to be good for their cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from service.errors import SettingsError
from training.compression.distillation.student import student_of
from training.compression.search.design import SHARES, Network
from training.steps.routes import SHALLOW, STUDENT


@dataclass(frozen=True, kw_only=True)
class Students:
    """Those of a `teacher`'s config, of which `cost` says what one takes; `named` are configs that are good for theirs.

    `shallow` says whether there are some with fewer layers beside the narrow ones.
    """

    teacher: Any
    cost: Callable[[Any], float]
    named: Sequence[Any]
    shallow: bool
    _prices: dict[Any, float] = field(default_factory=dict)

    def config(self, network: Network) -> Any:
        """That of a student. Raises SettingsError if that of one beside it comes to the same."""
        found, usual = self._config(network), replace(network, remedy="")
        others = [usual.larger, *([usual.smaller] if usual.between else [])]
        others += [replace(usual, route=SHALLOW)] if self.shallow and usual.route == STUDENT else []
        for other in others:
            if other is not None and other != Network() and self._config(other) == found:
                raise SettingsError(f"{network.name}: would be the same network as {other.name}")
        return found

    @property
    def first(self) -> Sequence[Network]:
        """Networks whose share is nearest to that of a config that is named, the largest first."""
        whole = self._price(self.teacher)
        shares = {min(SHARES, key=lambda one: abs(math.log(self._price(own) / (one * whole)))) for own in self.named}
        return [Network(route=STUDENT, share=share) for share in sorted(shares, reverse=True)]

    def _config(self, network: Network) -> Any:
        return student_of(self.teacher, network.share, self._price, shallow=network.route == SHALLOW, named=self.named)

    def _price(self, config: Any) -> float:
        if config not in self._prices:
            self._prices[config] = self.cost(config)
        return self._prices[config]
