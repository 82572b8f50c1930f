"""What the service counts of itself, added up over generations: a version that has gone takes its counters along."""

import re
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from loadtests.served import HOST

_SAMPLE = re.compile(r"^(hone_\w+?)\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
COUNTED = {"hone_requests_total": "outcome", "hone_rejected_total": "reason"}
"""Counters that are followed, and the label that is told apart besides the model."""

ENDED = "hone_request_duration_seconds_count"


@dataclass
class Scrapes:
    """Owns what was counted until the last scrape: by counter, model, and outcome or reason."""

    totals: defaultdict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    pending: float = 0.0
    _last: dict[tuple[str, str], float] = field(default_factory=dict)

    def scrape(self, port: int) -> None:
        """Look once."""
        with urllib.request.urlopen(f"http://{HOST}:{port}/metrics", timeout=30) as answer:
            self.read(answer.read().decode())

    def read(self, text: str) -> None:
        """Add what a scrape's text has more than the one before; a counter that was away begins again."""
        now: dict[tuple[str, str], float] = {}
        self.pending = 0.0
        for name, written, value in _SAMPLE.findall(text):
            labels = dict(_LABEL.findall(written))
            if name == "hone_pending_requests":
                self.pending += float(value)
            if name in COUNTED or name == ENDED:
                now[name, written] = float(value)
                before = self._last.get((name, written), 0.0)
                grown = float(value) - before if float(value) >= before else float(value)
                self.totals[name][labels["model"], labels.get(COUNTED.get(name, ""), "")] += int(grown)
        self._last = now

    def outcomes(self, model: str) -> Counter[str]:
        """Requests of a model by outcome."""
        return Counter({outcome: n for (own, outcome), n in self.totals["hone_requests_total"].items() if own == model})

    def sums(self) -> list[str]:
        """What doesn't add up: refused requests without a reason, or more that ended than were counted."""
        found = []
        models = {model for model, _ in self.totals["hone_requests_total"]}
        for model in sorted(models):
            outcomes = self.outcomes(model)
            reasons = sum(n for (own, _), n in self.totals["hone_rejected_total"].items() if own == model)
            if reasons != outcomes["rejected"]:
                found.append(f"{model}: {outcomes['rejected']} requests were rejected, for {reasons} reasons")
            admitted = self.totals[ENDED][model, ""]
            ended = outcomes["ok"] + outcomes["deadline"] + outcomes["cancelled"]
            if model != "_unknown" and not ended <= admitted <= sum(outcomes.values()):
                told = ", ".join(f"{n} {outcome}" for outcome, n in sorted(outcomes.items()))
                found.append(f"{model}: {admitted} requests were admitted and ended, but counted are {told}")
        if self.pending:
            found.append(f"{self.pending:.0f} requests are said to wait after all have ended")
        return found
