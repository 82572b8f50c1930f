"""What all kinds of recipes say."""

from dataclasses import dataclass

from service.artifact.names import is_model_name

MOST_THREADS = 1024
SEEDS = 2**31
"""How many there are, from 0 on."""
LONGEST_VARIANT = "-teacher"
"""What may stand behind a family's name in that of a model."""


@dataclass(frozen=True, kw_only=True)
class CommonSettings:
    """`name` is the file's, `profile` the one that was asked for, `seed` the root of all chance.

    `family` is the name that models are published under. `threads` is how many cores a fit uses: it decides the order
    of sums, so the machine must not.
    """

    name: str
    profile: str
    about: str
    family: str
    seed: int
    threads: int

    def __post_init__(self) -> None:
        if not is_model_name(f"{self.family}{LONGEST_VARIANT}"):
            raise ValueError("family: letters, digits, '.', '_' and '-', at most 120, the first a letter or digit")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"seed: must be between 0 and {SEEDS - 1}")
        if not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads: must be between 1 and {MOST_THREADS}")
