"""A client's words in an error."""

from hypothesis import given
from hypothesis import strategies as st

from service.quoting import quoted


@given(st.text() | st.integers() | st.lists(st.text()))
def test_quoted_values_fit_a_line(value: object) -> None:
    """Whatever a client writes, it stays on one short, printable line."""
    assert quoted(value).isprintable()
    assert len(quoted(value)) < 1000


def test_plain_words_stay_as_they_are() -> None:
    """A name reads as it was written."""
    assert quoted("pixels") == '"pixels"'
    assert quoted("a\nb") == '"a\\nb"'
    assert quoted([1, 2]) == "[1, 2]"
