"""Parts of whole sources."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SettingsError
from training.data.duplicates import common_sources, fingerprints
from training.data.shares import Shares
from training.data.split import Split


@given(
    sources=st.lists(st.integers(0, 40), min_size=60, max_size=150),
    shares=st.tuples(st.floats(0.1, 0.4), st.floats(0.1, 0.4)),
    seed=st.integers(0, 99),
)
def test_a_source_is_in_one_part(sources: list[int], shares: tuple[float, float], seed: int) -> None:
    """However often a source is seen, all of it is in one part, and nothing is lost."""
    known = np.array([*range(41), *sources])
    found = Shares(validation=shares[0], test=shares[1]).positions(known, known % 2, seed)
    assert sorted(np.concatenate(found)) == list(range(len(known)))
    assert sum(len(set(known[part])) for part in found) == 41
    assert abs(len(set(known[found[2]])) - shares[1] * 41) <= 2


def test_labels_are_stratified_and_values_are_not() -> None:
    """Each part has the classes in the proportion of the whole, where the targets are classes."""
    labels = np.repeat([0, 1], [80, 20])
    whole = Split(inputs=np.zeros((100, 1), np.float32), targets=labels, sources=np.arange(100))
    cut = Shares(validation=0.2, test=0.3).cut(whole, classes=("a", "b"), seed=1)
    assert [10, 4, 6] == [int(part.targets.sum()) for part in (cut.train, cut.validation, cut.test)]
    values = Split(inputs=whole.inputs, targets=np.arange(100.0)[:, None], sources=whole.sources)
    assert 30 == len(Shares(validation=0.2, test=0.3).cut(values, classes=(), seed=1).test)


def test_too_few_are_refused() -> None:
    """Ten views of two things can't be cut in three."""
    with pytest.raises(SettingsError, match="2 different inputs are too few"):
        Shares().positions(np.repeat([0, 1], 5), np.zeros(10, np.int64), 1)


@pytest.mark.parametrize("shares", [(0.0, 0.2), (0.2, 0.01), (0.5, 0.45)])
def test_shares_leave_something_for_everybody(shares: tuple[float, float]) -> None:
    """No part may be next to nothing."""
    with pytest.raises(ValueError, match=r"validation, test: must be at least 0.02"):
        Shares(validation=shares[0], test=shares[1])


def test_the_same_is_of_one_source() -> None:
    """Wherever it is; what differs in a byte isn't the same."""
    one, other = common_sources(
        fingerprints(np.array([[1, 2], [3, 4], [1, 2]])), fingerprints(np.array([[3, 4], [3, 5]]))
    )
    assert [0, 1, 0] == one.tolist()
    assert [1, 2] == other.tolist()
