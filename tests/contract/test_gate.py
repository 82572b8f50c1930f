"""What changes how the server runs isn't for web pages that somebody on its machine happens to read."""

import json

import pytest

from tests.contract.live import Live, ask, body, status
from tests.contract.raw import post

CHANGES = (
    ("/v2/repository/models/affine/load", b""),
    ("/v2/repository/models/affine/unload", b""),
    ("/v2/logging", b"{}"),
    ("/v2/trace/setting", b"{}"),
    ("/v2/models/affine/trace/setting", b"{}"),
    ("/v2/systemsharedmemory/region/r/unregister", b""),
    ("/v2/systemsharedmemory/unregister", b""),
    ("/v2/systemsharedmemory/region/r/register", b"{}"),
)


@pytest.mark.parametrize("path,content", CHANGES)
@pytest.mark.parametrize(
    "origin", ["https://example.org", "http://example.org:8000", "http://127.0.0.1.example.org", "http://[", "null"]
)
def test_pages_from_elsewhere_change_nothing(server: Live, path: str, content: bytes, origin: str) -> None:
    """Also under a name that somebody lets lead to this machine."""
    before = (len(server.engine.loaded), len(server.engine.unloaded))
    answer = ask(server.port, post(path, content, f"Origin: {origin}", "Content-Type: text/plain"))

    assert 403 == status(answer)
    assert "forbidden" == json.loads(body(answer))["reason"]
    assert before == (len(server.engine.loaded), len(server.engine.unloaded))


@pytest.mark.parametrize("path,content", CHANGES[:-1])
@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://127.0.0.1:3000", "http://[::1]:8000"])
def test_pages_of_this_machine_may(server: Live, path: str, content: bytes, origin: str) -> None:
    """As the documentation under /docs."""
    assert 200 == status(ask(server.port, post(path, content, f"Origin: {origin}")))
