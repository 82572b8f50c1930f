"""What Hone counts of itself, read where Prometheus reads it."""

import re
import urllib.request
from dataclasses import dataclass
from typing import Self

_SAMPLE = re.compile(r"^hone_(\w+)\{([^}]*)\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batches:
    """Rows and batches that a model has computed."""

    rows: float
    batches: float

    def mean_since(self, before: Self) -> float:
        """Rows a batch since `before`; nan when there was no batch."""
        batches = self.batches - before.batches
        return (self.rows - before.rows) / batches if batches else float("nan")


def batches(url: str, model: str) -> Batches:
    """What the metrics at `url` say of a model."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return read_batches(answer.read().decode(), model)


def read_batches(text: str, model: str) -> Batches:
    """The counters of all versions of `model` together, from a scrape's text."""
    total = {"inference_total": 0.0, "execution_total": 0.0}
    for name, labels, value in _SAMPLE.findall(text):
        if name in total and f'model="{model}"' in labels.split(","):
            total[name] += float(value)
    return Batches(rows=total["inference_total"], batches=total["execution_total"])
