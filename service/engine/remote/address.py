"""Where a remote server is, as the operator wrote it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from service.artifact.names import is_model_name

_URL = re.compile(r"(?:(grpcs?)://)?((?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5}))/?")


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteAddress:
    """`target` is host:port; `tls` when the connection is to be encrypted and the server's certificate checked."""

    target: str
    tls: bool = False


def parse_remotes(entries: Iterable[str]) -> dict[str, RemoteAddress]:
    """The addresses by name, of entries written NAME=URL. Raises ValueError with the entry that is wrong."""
    remotes: dict[str, RemoteAddress] = {}
    for entry in entries:
        name, _, url = entry.partition("=")
        if not is_model_name(name) or name in remotes:
            raise ValueError(f"{entry!r} must be NAME=URL, with a name of its own (letters, digits, '.', '_' and '-')")
        found = _URL.fullmatch(url)
        if found is None or not 0 < int(found[3]) < 65536:
            raise ValueError(f"{entry!r}: the URL must be host:port, grpc://host:port or grpcs://host:port")
        remotes[name] = RemoteAddress(target=found[2], tls=found[1] == "grpcs")
    return remotes
