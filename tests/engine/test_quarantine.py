"""Inputs that ended two workers are refused for ten minutes."""

import numpy as np

from service.engine.quarantine import SECONDS, Quarantine


def test_exactly_the_condemned_inputs_are_refused_until_the_time_is_over() -> None:
    """Other values, shapes and types pass, and after ten minutes so do the same ones."""
    now = 0.0
    quarantine = Quarantine(lambda: now)
    bad = np.arange(6, dtype=np.float32).reshape(2, 3)
    quarantine.add([bad])

    assert quarantine.holds([bad.copy()])
    assert not quarantine.holds([bad + 1])
    assert not quarantine.holds([bad.reshape(3, 2)])
    assert not quarantine.holds([bad.astype(np.float64)])
    now = SECONDS
    assert not quarantine.holds([bad])
    assert not quarantine.until


def test_texts_are_told_apart() -> None:
    """BYTES inputs are compared by their elements, not by how those run together."""
    quarantine = Quarantine()
    quarantine.add([np.array([b"ab", b"c"], dtype=object)])

    assert quarantine.holds([np.array([b"ab", b"c"], dtype=object)])
    assert not quarantine.holds([np.array([b"a", b"bc"], dtype=object)])


def test_it_stays_small() -> None:
    """A client that finds ever new poison can't fill the memory."""
    quarantine = Quarantine()
    for value in range(3000):
        quarantine.add([np.array([value])])

    assert len(quarantine.until) <= 1024
    assert quarantine.holds([np.array([2999])])
