"""What a bench's figures are held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """A measured value and the bound that it should keep: at most `limit`, or at least, where `at_least` says so."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """False for nan too: what couldn't be measured isn't met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def figures(self) -> dict[str, Any]:
        """For the JSON twin."""
        bound = "at_least" if self.at_least else "at_most"
        return {"what": self.what, "value": self.value, bound: self.limit, "met": self.met}


def told(targets: Sequence[dict[str, Any]]) -> str:
    """Targets as the twin has them, as Markdown: a line each, missed ones in bold."""
    lines = []
    for one in targets:
        bound = f"at least {one['at_least']:g}" if "at_least" in one else f"at most {one['at_most']:g}"
        verdict = "met" if one["met"] else "**missed**"
        lines.append(f"* {one['what']}: {one['value']:.3g}, {bound}: {verdict}.\n")
    return "".join(lines)
