"""The contract of all baselines."""

from typing import Protocol

from training.data.split import Array


class Baseline(Protocol):
    """What a result has to beat, fitted on a training part when it was built."""

    def predict(self, inputs: Array) -> Array:
        """For `inputs` as a part has them what the metric of the task takes for predictions."""
        ...
