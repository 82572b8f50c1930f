"""What an epoch comes to while it goes on: losses, gradients, examples and the time they took."""

import math
import time

from training.fitted import Epoch
from training.record import Record


class Tally:
    """Sums over the steps of one epoch, since it was made; `processes` is how many share each step."""

    def __init__(self, *, processes: int) -> None:
        self._processes = processes
        self._begun = self._last = time.perf_counter()
        self._steps = self._examples = 0
        self._loss = self._norm = self._rate = 0.0

    def add(self, *, loss: float, norm: float, rate: float, examples: int) -> None:
        """A step: its loss, the norm of its gradient, its learning rate, and how many examples it learnt from."""
        self._steps += 1
        self._examples += examples
        self._loss += loss
        self._norm += norm
        self._rate = rate
        self._last = time.perf_counter()

    @property
    def loss(self) -> float:
        """The mean over the steps."""
        return self._loss / self._steps

    @property
    def examples_per_second(self) -> float:
        """Of the steps alone."""
        return self._examples / max(1e-9, self._last - self._begun)

    def record(self, epoch: Epoch) -> Record:
        """The line of the log, when `epoch` is over."""
        return Record(
            epoch=epoch.number + 1,
            time=time.time(),
            train_loss=epoch.train_loss,
            validation={name: _finite(value) for name, value in epoch.validation.items()},
            learning_rate=self._rate,
            gradient_norm=_finite(self._norm / self._steps),
            seconds=time.perf_counter() - self._begun,
            examples_per_second=self.examples_per_second,
            processes=self._processes,
        )


def _finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return value if math.isfinite(value) else None
