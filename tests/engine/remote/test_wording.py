"""What a client reads of a remote: its words, without where it is."""

import pytest

from service.engine.remote.address import RemoteAddress, parse_remotes
from service.engine.remote.wording import without_addresses


@pytest.mark.parametrize(
    "text, shown",
    [
        ("failed to connect to ipv4:10.0.0.7:8001: refused", "failed to connect to (address): refused"),
        ("lookup of triton.internal.example:8001 failed", "lookup of (address) failed"),
        ("can't read s3://bucket/model, or ipv6:[::1]:8001", "can't read (address), or (address)"),
        ("no file /opt/models/m/1/model.py here", "no file (path) here"),
        ("ValueError: x is negative\n\nAt:\n  /models/m/1/model.py(12): execute\n", "ValueError: x is negative"),
        ("input 'x' got shape [2,3], expected [-1,4] at 12:30", "input 'x' got shape [2,3], expected [-1,4] at 12:30"),
        ("a\nb" + "c" * 400, "a b" + "c" * 297 + "..."),
    ],
)
def test_without_addresses(text: str, shown: str) -> None:
    """Addresses, paths and traces go, the reason stays, on one line of bounded length."""
    assert shown == without_addresses(text)


def test_remotes() -> None:
    """A remote is a name and an address, encrypted where the scheme says so."""
    found = parse_remotes(["a=h:1", "b=grpc://10.0.0.1:8001/", "c.d-e=grpcs://[::1]:443"])

    assert {
        "a": RemoteAddress(target="h:1"),
        "b": RemoteAddress(target="10.0.0.1:8001"),
        "c.d-e": RemoteAddress(target="[::1]:443", tls=True),
    } == found


@pytest.mark.parametrize(
    "entry", ["", "a", "a=", "=h:1", "a=h", "a=h:0", "a=h:65536", "a=http://h:1", "a=unix:/x", "a=h:1/path", "a b=h:1"]
)
def test_wrong_remotes(entry: str) -> None:
    """Anything else is refused, the entry named; so is a name that is given twice."""
    with pytest.raises(ValueError, match="must be"):
        parse_remotes([entry])
    with pytest.raises(ValueError, match="a=h:2"):
        parse_remotes(["a=h:1", "a=h:2"])
