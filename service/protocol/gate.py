"""Who may change how the server runs, and what it serves: clients of this machine, and no web page that one reads."""

import ipaddress
from urllib.parse import urlsplit

from service.errors import Forbidden
from service.quoting import quoted


def check_unlocked(what: str, locked: str) -> None:
    """Raises Forbidden when `locked` says why clients may not change this; empty where they may."""
    if locked:
        raise Forbidden(f"{what} settings can't be changed: {locked}")


def check_origin(origin: str | None) -> None:
    """Raises Forbidden unless the page that had a browser send this request is one of this machine's own.

    A page from anywhere may have its reader's browser send such requests to loopback addresses, and the browser says
    then where the page is from (header Origin). No other client does: None is welcome.
    """
    if origin is not None and not _is_here(origin):
        raise Forbidden(f"a web page from {quoted(origin)} may not change how this server runs")


def _is_here(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
