"""A short run of every target, from a fixed seed: `make fuzz` runs them for longer."""

from collections.abc import Iterator

import pytest

from service.protocol.client_memory import ClientMemory
from tests.fuzz.campaign import run
from tests.fuzz.targets import NAMES, region, targets

SAMPLES = 250


@pytest.fixture(scope="module")
def memory() -> Iterator[ClientMemory]:
    """With a region that samples may mean."""
    with region() as memory:
        yield memory


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_read_or_refused_within_bounds(memory: ClientMemory, name: str) -> None:
    """No other error than a refusal in one line, nor more memory or time than the sample is worth; see the target."""
    target = targets(memory)[name]
    report = run(target, seed=7, samples=SAMPLES)

    assert report.samples == SAMPLES
    assert report.ways > 4, "samples that all end alike have found nothing"
