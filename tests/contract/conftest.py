"""Two servers over the same double: one with the fast entrance, one where everything goes through FastAPI."""

from collections.abc import Iterator

import pytest

from tests.contract.listener import Listener
from tests.contract.live import Live, serve


@pytest.fixture(scope="session")
def fast_server() -> Iterator[Live]:
    """The fast protocol."""
    with serve(fast=True) as live:
        yield live


@pytest.fixture(scope="session")
def plain_server() -> Iterator[Live]:
    """uvicorn's own protocol."""
    with serve(fast=False) as live:
        yield live


@pytest.fixture(scope="session")
def listener() -> Listener:
    """Who is told of what the observed server answers."""
    return Listener()


@pytest.fixture(scope="session")
def observed_server(listener: Listener) -> Iterator[Live]:
    """The fast protocol, where somebody listens."""
    with serve(fast=True, calls=listener.calls) as live:
        yield live


@pytest.fixture(params=["fast", "plain"])
def server(request: pytest.FixtureRequest) -> Live:
    """Each of the two."""
    live = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(live, Live)
    return live
