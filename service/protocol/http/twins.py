"""Keys that an object in JSON has twice: which of them counts depends on who reads, so nobody should have to guess."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import InvalidRequest
from service.quoting import quoted

_ESCAPE = rb"\u"
"""A key may be spelled with it, and isn't found by its letters then."""


def refuse_twins(text: bytes, most: Mapping[bytes, int] | None = None) -> None:
    """Raises InvalidRequest that names a key which an object of this JSON has twice; the text has been parsed before.

    `most` is how often each key that matters, in its quotes, can be there once each: where none is there more often the
    text isn't read again. Without it, it always is.
    """
    if most and _ESCAPE not in text and all(text.count(key) <= times for key, times in most.items()):
        return
    try:
        json.loads(text, object_pairs_hook=_look_at)
    except RecursionError:
        raise InvalidRequest("the JSON is nested too deeply") from None
    except ValueError:  # a number that Python doesn't read: who has parsed the text has judged it
        return


def _look_at(pairs: Sequence[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidRequest(f"the JSON has {quoted(key)} twice in one object")
        seen.add(key)
