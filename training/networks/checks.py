"""What the configs of networks have in common to refuse. Each text names the field."""

import math
from collections.abc import Collection


def check_choice(field: str, value: str, known: Collection[str]) -> None:
    """Raise ValueError unless `value` is one of `known`."""
    if value not in known:
        raise ValueError(f"{field}: {value!r} isn't known, it is one of {', '.join(known)}")


def check_counts(**counts: int) -> None:
    """Raise ValueError unless each of these fields is at least 1."""
    if wrong := [field for field, count in counts.items() if count < 1]:
        raise ValueError(f"{', '.join(wrong)}: must be at least 1")


def check_dropout(dropout: float) -> None:
    """Raise ValueError unless something is left."""
    if not 0 <= dropout < 1:
        raise ValueError("dropout: must be at least 0 and below 1")


def check_embedding(embedding: int) -> None:
    """Raise ValueError unless this is a width, or none."""
    if embedding < 0:
        raise ValueError("embedding: must not be below 0; 0 answers classes")


def check_layers(layers: int, *, least: int = 1, **widths: tuple[int, ...]) -> None:
    """Raise ValueError unless each of these fields is empty, or has a width of at least `least` for every layer."""
    for field, given in widths.items():
        if given and (len(given) != layers or min(given) < least):
            raise ValueError(f"{field}: is empty, or has one width of at least {least} for every layer")


def check_pixels(deviation: float) -> None:
    """Raise ValueError unless pixels can be divided by their deviation."""
    if not deviation > 0:
        raise ValueError("deviation: must be positive")


def check_scale(
    mean: tuple[float, ...], deviation: tuple[float, ...], count: int, names: str = "mean, deviation"
) -> None:
    """Raise ValueError unless each of `count` numbers has a mean and a positive deviation, or all have one, or none."""
    if len(mean) != len(deviation) or len(mean) not in {0, 1, count}:
        raise ValueError(f"{names}: there are none, one of each, or {count} of each")
    if not all(math.isfinite(figure) for figure in (*mean, *deviation)):
        raise ValueError(f"{names}: must be finite; figures of values that are missing are none")
    if not all(figure > 0 for figure in deviation):
        raise ValueError(f"{names}: deviations must be positive; a column that never changes has to be left out")
