"""What is fuzzed, and what must hold of it whatever it is given."""

import re
import resource
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from service.errors import ArtifactError, HoneError
from service.protocol.limits import MIB, Limits
from service.protocol.status import http_status
from tests.fuzz.mutation import Change

LIMITS = Limits(max_json_bytes=65536, max_binary_bytes=262144)
REFUSALS = frozenset({400, 403, 404, 413, 501})
"""What a client's mistake is answered with."""
LONGEST_TEXT = 500
LONGEST_TEXT_OF_A_FILE = 2100
MEMORY_OF_A_BYTE = 64
"""Bytes of memory that a byte of a sample may take at most while it is decoded: an element of a list is an object."""
MEMORY = MIB
SECONDS_OF_A_BYTE = 1e-6
SECONDS = 0.1
_TRIES = 3
_CLIENTS_OWN = re.compile(r'"[^"]*"|-?\d[\d.e+]*|\[[^\]]*\]')


@dataclass(frozen=True, kw_only=True)
class Target:
    """`decode` raises what a sample is refused with, or returns what it says; `check` asserts what holds of that, and
    is given the error where there was one.
    """

    name: str
    change: Change
    seeds: tuple[bytes, ...]
    decode: Callable[[bytes], Any]
    check: Callable[[bytes, Any], None] = field(default=lambda _sample, _found: None)
    is_file: bool = False  # of the repository: what is wrong with it is told to whoever loads it

    def probe(self, sample: bytes) -> str:
        """Decode within bounds of time and memory, and check. Returns what came of it, without the sample's own words:
        two samples of which the same is said have mostly gone the same way.
        """
        found = self._bounded(sample)
        if isinstance(found, HoneError):
            self._check_refusal(found)
        self.check(sample, found)
        text = f"{type(found).__name__} {found}" if isinstance(found, HoneError) else kind_of(found)
        return _CLIENTS_OWN.sub("_", text)

    def _bounded(self, sample: bytes) -> Any:
        tracemalloc.start()
        try:
            before = time.thread_time()
            found = self._attempt(sample)
            seconds = time.thread_time() - before
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= MEMORY + len(sample) * MEMORY_OF_A_BYTE, f"{len(sample)} bytes took {peak} bytes of memory"
        allowed = SECONDS + len(sample) * SECONDS_OF_A_BYTE
        for _ in range(_TRIES):  # a machine that others use stalls; a slow sample is slow each time
            if seconds <= allowed:
                return found
            before = time.thread_time()
            self._attempt(sample)
            seconds = time.thread_time() - before
        raise AssertionError(f"{len(sample)} bytes took {seconds:.3f} s")

    def _attempt(self, sample: bytes) -> Any:
        try:
            return self.decode(sample)
        except HoneError as error:
            return error.with_traceback(None)

    def _check_refusal(self, error: HoneError) -> None:
        text = str(error)
        assert http_status(error) in REFUSALS or (self.is_file and isinstance(error, ArtifactError)), repr(error)
        assert text.isprintable(), repr(text)
        assert 0 < len(text) <= (LONGEST_TEXT_OF_A_FILE if self.is_file else LONGEST_TEXT), (
            f"a text of {len(text)} characters: {text[:200]}"
        )


def kind_of(found: Any) -> str:
    """What was decoded, in a few words."""
    inputs = getattr(found, "inputs", None)
    if isinstance(inputs, tuple):
        return " ".join(f"{getattr(one, 'datatype', '')}/{getattr(one, 'shape', ())}" for one in inputs[:2])
    return type(found).__name__


def resident() -> int:
    """The most bytes that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
