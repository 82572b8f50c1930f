"""JSON with the tokens NaN, Infinity and -Infinity, which the protocol has beside numbers.

They stand for what they say in the floats of requests and answers, at every route that holds tensors; what an integer
or a boolean is can't be said by them. There is one NaN: what another carries in its bits is kept where bytes are sent,
in binary and over gRPC. A number in digits never becomes an infinity: one that is too large is refused.
"""

import json
import math
import re
from typing import Any

from service.quoting import quoted

_LONE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def has_bare_tokens(text: bytes) -> bool:
    """Whether a text that isn't JSON may be so for its tokens."""
    return b"NaN" in text or b"Infinity" in text


def parse_with_bare_tokens(text: bytes) -> Any:
    """What the text says, by Python's own parser, which knows the tokens. Raises ValueError, and RecursionError."""
    decoded = text.decode()
    document = json.loads(decoded, parse_float=_finite)
    if _LONE_ESCAPE.search(decoded):  # half of a surrogate pair is no text, but this parser lets it pass
        json.dumps(document, ensure_ascii=False).encode()
    return document


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {quoted(digits)} is too large")
    return number
