"""A subject whose variants are worth what a formula says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from training.compression.search.design import FLOAT, Design, Network
from training.compression.search.numbers import Numbers
from training.compression.search.trial import Trial
from training.gain import ITSELF, Gain
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime


def trial(numbers: str, drop: float, gain: Gain) -> Trial:
    """A variant of the teacher that loses and gains so much."""
    return Trial(design=Design(numbers=numbers), score=0.9 - 0.9 * drop, drop=drop, gain=gain)


@dataclass
class DoubleSubject:
    """Loses `lost(design)` and is `faster(design)` times as fast; there is time for `most` trials, and `late` ones."""

    lost: Callable[[Design], float]
    faster: Callable[[Design], float]
    routes: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"student": ()})
    first: Sequence[Network] = ()
    aware: bool = False
    numbers: Sequence[str] = ("static", "dynamic")
    runtimes: Sequence[Runtime] = (ONNX_RUNTIME, OPENVINO, OPENVINO_BF16)
    failing: Callable[[Design], bool] = lambda _: False
    most: int = 1000
    late: Callable[[Design], bool] = lambda _: False
    asked: list[Design] = field(default_factory=list)

    def tried(self, designs: Sequence[Design]) -> Sequence[Trial]:
        """See `Subject`; what there is no time for isn't `asked`."""
        there = [one for one in designs if not self.late(one)][: self.most - len(self.asked)]
        self.asked += there
        return [self._trial(one) for one in there]

    def _trial(self, design: Design) -> Trial:
        if self.failing(design):
            return Trial(design=design, failed="can't be")
        if design == Design():
            return Trial(design=design, score=0.9, drop=0.0, gain=ITSELF)
        faster = self.faster(design)
        return Trial(
            design=design,
            score=0.9 - 0.9 * self.lost(design),
            drop=self.lost(design),
            gain=Gain(compute=faster, latency=faster, throughput=faster, size=1 if design.numbers == FLOAT else 4),
        )


def numbers_gain(design: Design) -> float:
    """Static integers double the speed, dynamic ones halve it, and a share of the network is as much faster."""
    numbers = Numbers.of(design.numbers)
    by = {FLOAT: 1.0, "static": 2.0, "qat": 2.0, "dynamic": 0.5}[numbers.method] * (0.5 if numbers.reverted else 1)
    return by / design.network.share
