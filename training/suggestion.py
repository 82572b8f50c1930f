"""What somebody may have meant who named something that there isn't."""

import difflib
from collections.abc import Iterable

from service.errors import SettingsError


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """The end of an error's text: the nearest of the `known` names, or all of them if none is near."""
    names = list(known)
    nearest = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    return f", did you mean `{nearest[0]}`?" if nearest else f"; there are {', '.join(names) or 'none'}"


def check_variant(variant: str, known: Iterable[str]) -> None:
    """Raise SettingsError unless `variant` is one of the `known`."""
    names = list(known)
    if variant not in names:
        raise SettingsError(f"no variant `{variant}`; there are {', '.join(names)}")
