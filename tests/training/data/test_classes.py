"""The order of classes."""

import pytest

from training.data.classes import in_order


@pytest.mark.parametrize(
    "names, order",
    [
        (["10", "9", "9", "-1"], ("-1", "9", "10")),
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "nan"], ("10", "9", "nan")),
        (["01", "1", "0"], ("0", "01", "1")),
    ],
)
def test_numbers_are_in_their_order(names: list[str], order: tuple[str, ...]) -> None:
    """Texts in that of the alphabet, and whatever order they come in makes no difference."""
    assert order == in_order(names) == in_order(reversed(names))
