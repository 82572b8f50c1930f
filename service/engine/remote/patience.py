"""How long a remote server is waited for."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class RemotePatience:
    """Times in seconds: for the first description at load, for each later question; between questions to a remote that
    answers, and the pauses before one that doesn't is asked again, from the first to the longest.
    """

    load: float = 3.0
    probe: float = 2.0
    between_probes: float = 5.0
    first_pause: float = 0.5
    longest_pause: float = 10.0


def varied(pause: float) -> float:
    """A random half to all of `pause`, so that those who lost the same remote don't come back to it at once."""
    return random.uniform(pause / 2, pause)
