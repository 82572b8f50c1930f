"""Figures of variants as measuring would give them, for tests of what follows from them."""

from training.evaluate import Measured
from training.gain import Gain
from training.statistics import Paired, Share
from training.timing import Latency

COUNT = 1000


def gain(*, size: float = 2.0, compute: float = 2.0, throughput: float = 2.0) -> Gain:
    return Gain(size=size, compute=compute, latency=compute, throughput=throughput)


def measured(
    hits: int,
    *,
    parent: str | None = None,
    over_teacher: Gain | None = None,
    over_parent: Gain | None = None,
    paired: Paired | None = None,
    rate: float = 100.0,
) -> Measured:
    """A variant that got `hits` of 1,000 images right and answers `rate` images a second at its best batch, 8."""
    value = hits / COUNT
    return Measured(
        parent=parent,
        size=1000,
        accuracy=Share(value=value, low=max(0.0, value - 0.02), high=min(1.0, value + 0.02), hits=hits, count=COUNT),
        classes={},
        confusion=(),
        against_parent=paired,
        mistakes=(),
        latency_ms={"1": Latency(p50=1.0, p99=2.0)},
        compute_ms={"1": 0.5},
        images_per_second={"1": rate / 2, "8": rate},
        best_batch=8,
        over_parent=over_parent,
        over_teacher=over_teacher,
    )


def child(
    hits: int,
    *,
    parent: str = "digits-teacher",
    over_teacher: Gain | None = None,
    over_parent: Gain | None = None,
    paired: Paired | None = None,
    rate: float = 200.0,
) -> Measured:
    """A variant with a parent, the teacher unless named, and twice as good in everything unless told otherwise."""
    over_teacher = over_teacher or gain()
    return measured(
        hits,
        parent=parent,
        over_teacher=over_teacher,
        over_parent=over_parent or over_teacher,
        paired=paired or Paired(only_first=5, only_second=5, p_value=1.0),
        rate=rate,
    )
