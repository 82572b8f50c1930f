"""Which students there are of a teacher: the shape of each, and those that somebody found to be good for their cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from service.errors import SettingsError
from training.compression.distillation.student import student_of
from training.compression.search.design import Network, usual
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
        plain = replace(network, remedy="")
        if plain in self.first:
            return self.first[plain]
        found = self._config(plain)
        for other in self._beside(plain):
            if found == (self.first[other] if other in self.first else self._config(other)):
                raise SettingsError(f"{network.name}: would be the same network as {other.name}")
        return found

    @cached_property
    def first(self) -> Mapping[Network, Any]:
        """The configs that are named, the largest first, as networks of the share that is tried, or else of their own.

        Raises SettingsError if one takes no less than the teacher.
        """
        whole = self._price(self.teacher)
        found: dict[Network, Any] = {}
        for own in self.named:
            if (share := self._price(own) / whole) >= 1:
                raise SettingsError("students: must take fewer multiplications than the network they learn from")
            found.setdefault(Network(route=STUDENT, share=usual(share)), own)
        return dict(sorted(found.items(), key=lambda one: -one[0].share))

    def _beside(self, plain: Network) -> Sequence[Network]:
        """Those that it must not be the same as."""
        near = [plain.larger, *([plain.smaller] if plain.between else []), *self.first]
        near += [replace(plain, route=SHALLOW)] if self.shallow and plain.route == STUDENT else []
        return [one for one in near if one not in {None, Network()}]

    def _config(self, network: Network) -> Any:
        return student_of(self.teacher, network.share, self._price, shallow=network.route == SHALLOW)

    def _price(self, config: Any) -> float:
        if config not in self._prices:
            self._prices[config] = self.cost(config)
        return self._prices[config]
