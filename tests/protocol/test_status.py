"""The table from errors to status codes."""

import pytest

from service import errors
from service.errors import HoneError, Unavailable
from service.protocol.status import HTTP_STATUS, http_status, retry_after

CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, HoneError)]


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_every_error_has_a_status(error: type[HoneError]) -> None:
    """No error of the tree falls through the table, and what may be tried again says so with 503."""
    assert error.reason in HTTP_STATUS
    assert (http_status(error("x")) == 503) == (issubclass(error, Unavailable) and error is not Unavailable)
    assert (retry_after(error("x")) is not None) == issubclass(error, Unavailable)


def test_an_error_without_a_word_of_its_own_has_its_parents_status() -> None:
    """A new kind of refusal is answered as its parent is, until somebody decides otherwise."""

    class Special(errors.QueueFull):
        """A kind of its own."""

    class Odd(HoneError):
        """A kind whose word nobody knows."""

        reason = "odd"

    assert http_status(Special("x")) == 503
    assert http_status(Odd("x")) == 500
