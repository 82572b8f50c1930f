"""Tensors in memory that clients of this machine share with the server: Triton's system shared memory extension.

A region is a file of /dev/shm. It is read and written, never mapped: a client that makes it shorter would else end the
process with a bus error.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from service.errors import BackendError, Forbidden, InvalidRequest, TooLarge
from service.quoting import quoted

REGION = "shared_memory_region"
NO_CUDA = "memory of a GPU can't be registered with this server"
_SIZE, _OFFSET = "shared_memory_byte_size", "shared_memory_offset"
_FOLDER = "/dev/shm"  # noqa: S108 - where POSIX shared memory lies, not a temporary file
_KEY = re.compile(r"/?([A-Za-z0-9_][A-Za-z0-9._-]{0,254})")
_MOST_REGIONS = 256
_MOST = 2**63 - 1
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What the parameters of `tensor` (`input "x"`) say: `size` bytes of a region, from `offset` on."""

    tensor: str
    region: str
    offset: int
    size: int


@dataclass(kw_only=True, slots=True)
class Region:
    """Owns the open file of a region: `size` bytes of it, from `offset` on, are the client's to use."""

    name: str
    key: str
    offset: int
    size: int
    descriptor: int

    def close(self) -> None:
        """Whoever still means it is told that it isn't there any more."""
        os.close(self.descriptor)
        self.descriptor = -1


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where an output is to be written."""

    region: Region
    place: Place

    def write(self, output: str, content: bytes | memoryview) -> int:
        """Put the bytes of an output there; how many there are. Raises InvalidRequest if they don't fit."""
        size, place = memoryview(content).nbytes, self.place
        if size > place.size:
            raise InvalidRequest(
                f"output {quoted(output)} has {size} bytes, {_SIZE} of region {quoted(place.region)} is {place.size}"
            )
        if self.region.descriptor < 0:
            raise InvalidRequest(
                f"region {quoted(place.region)} was unregistered before output {quoted(output)} was there"
            )
        start = self.region.offset + place.offset
        if os.fstat(self.region.descriptor).st_size < start + size:
            raise _shrunk(place)
        view, written = memoryview(content).cast("B"), 0
        while written < size:
            try:
                more = os.pwrite(self.region.descriptor, view[written:], start + written)
            except OSError as error:
                raise BackendError(f"region {quoted(place.region)} can't be written: {error.strerror}") from None
            if not more:
                raise BackendError(f"region {quoted(place.region)} can't be written: the shared memory is full")
            written += more
        return size


class ClientMemory:
    """Owns the regions that clients have registered, by name."""

    def __init__(self, *, allowed: bool) -> None:
        self._allowed = allowed
        self._regions: dict[str, Region] = {}

    def register(self, name: str, key: str, offset: object, size: object) -> None:
        """Take a region. Raises Forbidden, or InvalidRequest with what is wrong."""
        self._check_allowed()
        if not name:
            raise InvalidRequest("a region needs a name")
        if name in self._regions:
            raise InvalidRequest(f"region {quoted(name)} is registered already")
        if len(self._regions) >= _MOST_REGIONS:
            raise InvalidRequest(f"{_MOST_REGIONS} regions are registered, which is the most")
        offset, size = _count("offset", offset, least=0), _count("byte_size", size, least=1)
        found = _KEY.fullmatch(key)
        if found is None:
            raise InvalidRequest(f"region {quoted(name)}: key {quoted(key)} isn't the name of a shared memory object")
        try:
            descriptor = os.open(f"{_FOLDER}/{found[1]}", _FLAGS)
        except OSError:
            raise InvalidRequest(f"region {quoted(name)}: there is no shared memory object of that key") from None
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size < offset + size:
            os.close(descriptor)
            raise InvalidRequest(f"region {quoted(name)}: the shared memory object has less than {offset + size} bytes")
        self._regions[name] = Region(name=name, key=key, offset=offset, size=size, descriptor=descriptor)

    def unregister(self, name: str | None) -> None:
        """Let go of a region, which may be none, or of all."""
        self._check_allowed()
        for leaving in list(self._regions) if name is None else [name]:
            region = self._regions.pop(leaving, None)
            if region:
                region.close()

    def regions(self, name: str | None) -> list[Region]:
        """One, or all. Raises Forbidden, or InvalidRequest where there is none of that name."""
        self._check_allowed()
        if name is not None and name not in self._regions:
            raise InvalidRequest(_unregistered(name))
        return list(self._regions.values()) if name is None else [self._regions[name]]

    def read(self, place: Place, most: int) -> bytes:
        """The bytes of an input. Raises InvalidRequest, and TooLarge for more than `most` bytes."""
        region = self._part(place)
        if place.size > most:
            raise TooLarge(f"{place.tensor}: the inputs in shared memory have more bytes than the limit of {most}")
        content = os.pread(region.descriptor, place.size, region.offset + place.offset)
        if len(content) != place.size:
            raise _shrunk(place)
        return content

    def target(self, place: Place) -> Target:
        """Where an output can be written. Raises InvalidRequest."""
        return Target(region=self._part(place), place=place)

    def _part(self, place: Place) -> Region:
        self._check_allowed()
        region = self._regions.get(place.region)
        if region is None:
            raise InvalidRequest(f"{place.tensor}: {_unregistered(place.region)}")
        if place.offset + place.size > region.size:
            raise InvalidRequest(
                f"{place.tensor}: region {quoted(place.region)} has {region.size} bytes, {place.size} from"
                f" {place.offset} on are asked for"
            )
        return region

    def _check_allowed(self) -> None:
        if not self._allowed:
            raise Forbidden("client shared memory is off, the server was started without --allow-client-shm")


def place_of(role: str, name: str, parameters: Mapping[str, Any] | None) -> Place | None:
    """Where a tensor's parameters say it lies, None if they don't. Raises InvalidRequest."""
    if not parameters or REGION not in parameters:
        return None
    tensor, region = f"{role} {quoted(name)}", parameters[REGION]
    if not isinstance(region, str):
        raise InvalidRequest(f"{tensor}: {REGION} must be the name of a region")
    return Place(
        tensor=tensor,
        region=region,
        offset=_count(f"{tensor}: {_OFFSET}", parameters.get(_OFFSET, 0), least=0),
        size=_count(f"{tensor}: {_SIZE}", parameters.get(_SIZE), least=0),
    )


def check_targets(classes: Mapping[str, int], targets: Mapping[str, Place]) -> None:
    """Raises InvalidRequest for an output that is wanted as classes and in shared memory, which Triton refuses too, and
    for two in the same place.
    """
    for name in classes.keys() & targets.keys():
        raise InvalidRequest(f"output {quoted(name)}: classes can't be written to shared memory")
    places = sorted((place.region, place.offset, place.size, name) for name, place in targets.items())
    for (region, start, size, name), (next_region, next_start, _, other) in pairwise(places):
        if region == next_region and next_start < start + size:
            raise InvalidRequest(f"outputs {quoted(name)} and {quoted(other)} overlap in region {quoted(region)}")


def place_parameters(place: Place, size: int) -> dict[str, str | int]:
    """What an answer says of an output that was written there."""
    found: dict[str, str | int] = {REGION: place.region, _SIZE: size}
    return found | {_OFFSET: place.offset} if place.offset else found


def _count(what: str, value: object, *, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _MOST:
        raise InvalidRequest(f"{what} is {quoted(value)}, expected a number of bytes from {least} to {_MOST}")
    return value


def _unregistered(name: str) -> str:
    return f"region {quoted(name)} isn't registered"


def _shrunk(place: Place) -> InvalidRequest:
    return InvalidRequest(
        f"{place.tensor}: region {quoted(place.region)} has become smaller than it was when it was registered"
    )
