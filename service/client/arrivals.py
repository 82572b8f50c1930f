"""When requests arrive, drawn beforehand."""

import random


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Times within `seconds` of independent arrivals at `rate` per second, ascending; equal seeds give equal times.

    Raises ValueError unless both are above 0.
    """
    if rate <= 0 or seconds <= 0:
        raise ValueError(f"{rate} arrivals per second for {seconds} s: both must be above 0")
    draw = random.Random(seed)  # noqa: S311 - a schedule that can be repeated isn't a secret
    times: list[float] = []
    now = draw.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += draw.expovariate(rate)
    return times
