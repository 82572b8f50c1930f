"""How numbers are called, and what is said of a network that was given others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.compression.search.made import Made
from training.compression.search.numbers import Numbers

METHODS = ("f32", "half", "static", "static_entropy", "static_tensor", "dynamic", "weights4")


@given(st.builds(Numbers, method=st.sampled_from(METHODS), kept=st.integers(0, 99), reverted=st.booleans()))
def test_a_name_says_all(numbers: Numbers) -> None:
    """It is read as it was written."""
    assert numbers == Numbers.of(str(numbers))
    assert numbers.integer == numbers.method.startswith(("static", "dynamic"))


@pytest.mark.parametrize(
    "made, text",
    [
        (Made(), ""),
        (Made(mates=0.0234), ""),
        (
            Made(mates=0.0234, alone=True),
            (
                "batch-mates may change answers (samples' by up to 2.34%): each request is computed alone,"
                " and answers are judged one input at a time"
            ),
        ),
        (Made(left={"a": "why", "b": "why"}), "left in float: a, b (why)"),
        (
            Made(left={**dict.fromkeys("abcde", "why"), "f": "because"}),
            "left in float: a, b, c and 2 more (why); left in float: f (because)",
        ),
    ],
)
def test_what_was_made_is_told_in_a_line(made: Made, text: str) -> None:
    """By name and reason, and nothing where there is nothing to say."""
    assert text == str(made)
