"""What became of every request, seen from the clients."""

import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

OK, WRONG, LOST, LEFT, STALE = "ok", "wrong", "lost", "left", "stale"
"""Besides the service's own reasons: answered right, answered wrong, never answered, not waited for, and answered by
weights older than some that had answered before it was sent."""

EXAMPLES = 5


@dataclass
class Ledger:
    """Owns the counts by role, model and kind, the slowest answers, and examples of what should not have been.

    Written by many threads.
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)
    examples: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _newest: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, role: str, model: str, requests: int = 1) -> int:
        """Requests are about to be sent; the newest edition of the model that has answered so far."""
        with self._lock:
            self.sent[role, model] += requests
            return self._newest.get(model, 0)

    def end(self, role: str, model: str, kind: str, *, seconds: float = 0.0, text: str = "", requests: int = 1) -> None:
        """They ended so."""
        with self._lock:
            self.counts[role, model, kind] += requests
            self.slowest[role] = max(seconds, self.slowest.get(role, 0.0))
            examples = self.examples[f"{role}, {model}: {kind}"]
            if text and len(examples) < EXAMPLES:
                examples.append(text)

    def answered_by(self, model: str, edition: int) -> None:
        """An answer of this edition was there."""
        with self._lock:
            self._newest[model] = max(edition, self._newest.get(model, 0))

    def kinds(self, role: str) -> Counter[str]:
        """Requests of a role by how they ended."""
        found: Counter[str] = Counter()
        for (own, _, kind), count in self.counts.items():
            if own == role:
                found[kind] += count
        return found

    def of_model(self, model: str) -> Counter[str]:
        """Requests to a model by how they ended."""
        found: Counter[str] = Counter()
        for (_, own, kind), count in self.counts.items():
            if own == model:
                found[kind] += count
        return found

    def violations(self, allowed: Mapping[str, Collection[str]]) -> list[str]:
        """What should not have been: endings that a role may not have, and requests that ended not once."""
        found = []
        for (role, model, kind), count in sorted(self.counts.items()):
            if kind not in allowed[role]:
                told = "; ".join(self.examples[f"{role}, {model}: {kind}"])
                found.append(f"{count} requests of {role} to {model} ended with {kind}: {told}")
        ended: Counter[tuple[str, str]] = Counter()
        for (role, model, _), count in self.counts.items():
            ended[role, model] += count
        return found + [
            f"{role} sent {self.sent[role, model]} requests to {model}, and {ended[role, model]} ended"
            for role, model in sorted(self.sent.keys() | ended.keys())
            if self.sent[role, model] != ended[role, model]
        ]
