"""The names of classes, in the order of their labels."""

from collections.abc import Iterable


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once: by number where all are whole numbers, else as texts."""
    known = set(names)
    try:
        return tuple(sorted(known, key=lambda name: (int(name), name)))
    except ValueError:
        return tuple(sorted(known))
