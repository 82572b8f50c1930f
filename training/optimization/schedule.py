"""The schedule of the learning rate.

Source of the cosine: I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, here
without restarts; of the warm-up: P. Goyal et al., "Accurate, Large Minibatch SGD", 2017, arXiv 1706.02677.
"""

import math

from training.optimization.settings import FitSettings


def learning_rate(settings: FitSettings, step: int, steps: int) -> float:
    """The rate of step `step` of `steps`: a straight rise to the peak, then as the schedule has it."""
    rise = max(1, round(settings.warmup * steps))
    if step < rise:
        return settings.learning_rate * (step + 1) / rise
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.schedule == "step":
        passed = sum(step >= milestone * steps for milestone in settings.milestones)
        return settings.learning_rate * settings.factor**passed
    done = (step - rise) / max(1, steps - rise)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
