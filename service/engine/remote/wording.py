"""A remote server's own words, fit for a client of ours."""

import re

_LONGEST = 300
_TRACE = re.compile(r"\s*\n\s*At:.*|\s*Traceback \(most recent call last\).*", re.DOTALL)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s,;)'\"]+")
_ADDRESS = re.compile(r"(?:\bipv[46]:)?(?:\[[0-9A-Fa-f:.%]+\]|\b\d{1,3}(?:\.\d{1,3}){3})(?::\d{1,5}\b)?")
_HOST_AND_PORT = re.compile(r"\b[A-Za-z](?:[A-Za-z0-9-]*\.)*[A-Za-z0-9-]*:\d{2,5}\b")
_PATH = re.compile(r"(?<![\w/.])/(?:[\w.@+-]+/)+[\w.@+-]*")


def without_addresses(text: str) -> str:
    """`text` on one line, cut when it is long, without addresses, paths and the trace of the remote's own code."""
    text = _TRACE.sub("", text)
    for pattern, word in (
        (_URL, "(address)"),
        (_ADDRESS, "(address)"),
        (_HOST_AND_PORT, "(address)"),
        (_PATH, "(path)"),
    ):
        text = pattern.sub(word, text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
