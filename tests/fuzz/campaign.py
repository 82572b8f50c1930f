"""One run of a target: from its seeds to samples that nobody has thought of, repeatable by its seed."""

import time
from dataclasses import dataclass
from random import Random

from tests.fuzz.target import Target

_MOST_CHANGES = 4
_MOST_KEPT = 2000
"""Samples beside the seeds; a text that repeats what a client wrote would keep as many as there are texts."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How many samples were tried, and in how many ways they ended."""

    target: str
    samples: int
    ways: int


class Finding(Exception):
    """A sample for which something didn't hold that must; the cause says what."""

    def __init__(self, target: str, sample: bytes) -> None:
        super().__init__(f"{target}: {sample[:2000]!r}")
        self.sample = sample


def run(target: Target, *, seed: int, samples: int | None = None, seconds: float = float("inf")) -> Report:
    """Try so many samples, or for so long. Raises Finding.

    A sample that ends in a way that none before did is kept, to be changed further: what a decoder says tells how far
    a sample has come, as the branches that it took would.
    """
    random = Random(f"{target.name} {seed}")
    pool = list(target.seeds)
    ways = {_probed(target, sample) for sample in pool}
    until = time.monotonic() + seconds
    tried = 0
    while (samples is None or tried < samples) and time.monotonic() < until:
        sample = random.choice(pool)
        for _ in range(random.randint(1, _MOST_CHANGES)):
            sample = target.change(random, sample, random.choice(pool))
        way = _probed(target, sample)
        if way not in ways:
            ways.add(way)
            if len(pool) < len(target.seeds) + _MOST_KEPT:
                pool.append(sample)
            else:
                pool[random.randrange(len(target.seeds), len(pool))] = sample
        tried += 1
    return Report(target=target.name, samples=tried, ways=len(ways))


def _probed(target: Target, sample: bytes) -> str:
    try:
        return target.probe(sample)
    except Exception as error:
        raise Finding(target.name, sample) from error
