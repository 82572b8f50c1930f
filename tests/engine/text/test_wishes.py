"""What may be wanted of a text."""

from typing import Any

import pytest

from service.engine.text.sampler import Sampling
from service.engine.text.wishes import MAX_TOKENS, wishes_of
from service.errors import InvalidRequest


def test_wishes() -> None:
    """All of them, and what goes without saying."""
    wishes = wishes_of(
        {
            "max_tokens": 5,
            "temperature": 1,
            "top_k": 3,
            "top_p": 0.5,
            "seed": 7,
            "stop": "a",
            "stop_words": '["b", "c"]',
        }
    )
    assert (5, ["a", "b", "c"], True) == (wishes.max_tokens, list(wishes.stops), wishes.stream)
    assert Sampling(temperature=1.0, top_k=3, top_p=0.5, seed=7) == wishes.sampling

    plain = wishes_of({"something": "else"})
    assert (MAX_TOKENS, [], Sampling()) == (plain.max_tokens, list(plain.stops), plain.sampling)


@pytest.mark.parametrize(
    "key, value",
    [
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("max_tokens", True),
        ("max_tokens", "5"),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", 101),
        ("top_k", -1),
        ("top_p", 0),
        ("top_p", 1.1),
        ("seed", -1),
        ("seed", 2**63),
        ("stop", ""),
        ("stop", 5),
        ("stop", "a" * 2000),
        ("stop_words", "a"),
        ("stop_words", '{"a": 1}'),
        ("stop_words", "[1]"),
        ("stop_words", str(["a"] * 17).replace("'", '"')),
        ("stream", 1),
    ],
)
def test_wishes_that_cant_be_fulfilled(key: str, value: Any) -> None:
    """They are refused with what is expected."""
    with pytest.raises(InvalidRequest, match=r"expected|must be|at most"):
        wishes_of({key: value})
