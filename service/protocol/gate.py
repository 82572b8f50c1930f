"""What only clients of this machine may change."""

from service.errors import Forbidden


def check_unlocked(what: str, locked: str) -> None:
    """Raises Forbidden when `locked` says why clients may not change this; empty where they may."""
    if locked:
        raise Forbidden(f"{what} settings can't be changed: {locked}")
