"""How many units of each kind stay: all over the network where they matter most, or everywhere the same share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from training.compression.pruning.cost import Cost, Ledger, counts_of
from training.compression.pruning.importance import Importance
from training.compression.pruning.units import Units

STEP = 16
"""Widths are multiples of this: the lanes that the kernels of a CPU work in."""
FINER = (STEP, 8, 1)
"""Of these the multiples of smaller networks are taken."""
Counts = dict[str, int]
Ranking = Literal["global", "layer"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which sizes a network may get: widths that are cut become multiples of `multiple`, none below `narrowest`.

    `ranking` is over the whole network, or gives every layer the same share. `units` are the kinds of units that may
    go, by their names without numbers; all where it is empty.
    """

    multiple: int = STEP
    narrowest: int = STEP
    ranking: Ranking = "global"
    units: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.narrowest < self.multiple or self.narrowest % self.multiple:
            raise ValueError("multiple, narrowest: at least 1, and narrowest a multiple of the first")

    def narrower(self, units: Units, count: int) -> int | None:
        """The next number below `count` that there may be of these units; None if it is the last one."""
        if self.units and units.what not in self.units:
            return None
        if units.layer:
            return 0 if count else None
        step, least = (units.step, units.least) if units.step else (self.multiple, self.narrowest)
        fewer = (count - 1) // step * step
        return fewer if fewer >= max(least, units.least) else None


def suited(units: Sequence[Units]) -> Sequence[int]:
    """The multiples for a network of these units, of 16, 8 and 1 those that its narrowest width has two of, and 1."""
    narrowest = min((one.count for one in units if not one.layer and not one.step), default=2 * STEP)
    return [multiple for multiple in FINER if 2 * multiple <= narrowest or multiple == 1]


def allocate(ledger: Ledger, importance: Importance, *, limit: Cost, rules: Rules) -> Counts:
    """How many of each units stay for the network to cost at most `limit`, or the least there may be.

    Raises ValueError if rules name units that there aren't.
    """
    known = {one.what for one in ledger.units}
    if unknown := sorted(set(rules.units) - known):
        raise ValueError(f"units: {', '.join(unknown)}: this network has {', '.join(sorted(known)) or 'none'}")
    if rules.ranking == "layer":
        return _same_share(ledger, limit=limit, rules=rules)
    return _greedy(ledger, importance, limit=limit, rules=rules)


def most_important(importance: torch.Tensor, count: int, protected: int = 0) -> torch.Tensor:
    """The positions of the `count` most important units, ascending; the first `protected` are among them."""
    ranked = importance.clone()
    ranked[:protected] = torch.inf
    return torch.sort(torch.topk(ranked, count).indices).values


def _greedy(ledger: Ledger, importance: Importance, *, limit: Cost, rules: Rules) -> Counts:
    """Step by step, where the least importance is lost for what is saved of the excess."""
    ranked = {name: torch.sort(values).values.cumsum(0) for name, values in importance.items()}
    counts = counts_of(ledger.units)
    while not (now := ledger.cost(counts)).fits(limit):
        offers = []
        for units in _open(ledger.units, counts):
            if (fewer := rules.narrower(units, counts[units.name])) is None:
                continue
            offer = counts | {units.name: fewer}
            if (saved := now.saving(ledger.cost(offer), limit)) > 0:
                lost = _lost_by(units, fewer, counts, ledger.units, ranked)
                offers.append((lost / saved, units.name, offer))
        if not offers:
            break
        counts = min(offers, key=lambda offer: offer[:2])[2]
    return counts


def _same_share(ledger: Ledger, *, limit: Cost, rules: Rules) -> Counts:
    """The same share of all widths, as near as steps come to it: the one that leaves most is first; layers stay."""
    counts = counts_of(ledger.units)
    while not ledger.cost(counts).fits(limit):
        offers = [
            (fewer / units.count, units.name, fewer)
            for units in ledger.units
            if not units.layer and (fewer := rules.narrower(units, counts[units.name])) is not None
        ]
        if not offers:
            break
        _, name, fewer = max(offers)
        counts[name] = fewer
    return counts


def _open(units: Sequence[Units], counts: Mapping[str, int]) -> list[Units]:
    """Those that there may be fewer of: not what is in a layer that is gone, nor the last layer."""
    layers = [one for one in units if one.layer]
    gone = {one.layer for one in layers if not counts[one.name]}
    last = len(layers) - len(gone) == 1
    return [
        one
        for one in units
        if not (last and one.layer) and not (one.sets and all(each.layer in gone for each in one.sets))
    ]


def _lost_by(
    units: Units, fewer: int, counts: Mapping[str, int], all_units: Sequence[Units], ranked: Importance
) -> float:
    """The importance of what goes if there are `fewer` of these units; with a layer, of what is still in it."""
    gone = {one.layer for one in all_units if one.layer and not counts[one.name]}
    if not units.layer:
        sets = [(one, counts[units.name], fewer) for one in units.sets if one.layer not in gone]
    else:
        sets = [(one, counts[other.name], 0) for other in all_units for one in other.sets if one.layer == units.layer]
    return sum(
        _lost(ranked[one.name], one.count - then) - _lost(ranked[one.name], one.count - now) for one, now, then in sets
    )


def _lost(ranked: torch.Tensor, count: int) -> float:
    """The importance of the `count` least important units."""
    return float(ranked[count - 1]) if count else 0.0
