"""A client's words in an error."""

from hypothesis import given
from hypothesis import strategies as st

from service.quoting import listed, quoted


@given(st.text() | st.integers() | st.lists(st.text()))
def test_quoted_values_fit_a_line(value: object) -> None:
    """Whatever a client writes, it stays on one short, printable line."""
    assert quoted(value).isprintable()
    assert len(quoted(value)) < 1000


def test_plain_words_stay_as_they_are() -> None:
    """A name reads as it was written."""
    assert quoted("pixels") == '"pixels"'
    assert quoted("a\nb") == '"a\\nb"'


def test_values_are_said_as_json_has_them() -> None:
    """Which is what the client wrote."""
    values = [None, True, 1.5, [1, 2], ["a"], {"b": False}]
    assert ["null", "true", "1.5", "[1, 2]", '["a"]', '{"b": false}'] == [quoted(value) for value in values]
    assert '"a", "b\\n"' == listed(["a", "b\n"])


def test_what_is_nested_too_deeply_is_only_called_so() -> None:
    """It is deeper than the interpreter goes."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert "nested too deeply" == quoted(value)
