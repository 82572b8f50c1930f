"""What frames carry besides tensors: the payloads of READY, FAIL and RESULT. A PLAN's payload is a `Plan`."""

import struct

import msgspec

from service.artifact.signature import Signature
from service.workers.frames import FrameError

_TIMINGS = struct.Struct("<QQQ")


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a READY frame: what the runtime found in the model file, and the digest of what it loaded.

    `refusal` is what the runtime said to inputs that were made up to warm it; empty where it took them.
    """

    signature: Signature
    runtime: str
    sha256: str
    refusal: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a FAIL frame: one line, without paths, that may be shown to a client."""

    text: str


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Payload of a RESULT frame: nanoseconds to view the inputs, to compute, and to write the outputs.

    `moving` isn't in it: that is how long the front took to put the inputs where the worker finds them. Packed by hand,
    since one is sent per batch.
    """

    input: int
    infer: int
    output: int
    moving: int = 0

    def pack(self) -> bytes:
        """As a payload."""
        return _TIMINGS.pack(self.input, self.infer, self.output)

    @classmethod
    def unpack(cls, payload: bytes, moving: int = 0) -> "Timings":
        """From a payload, and what the front measured. Raises FrameError when it isn't one."""
        if len(payload) != _TIMINGS.size:
            raise FrameError(f"{len(payload)} bytes aren't timings")
        compute_input, infer, output = _TIMINGS.unpack(payload)
        return cls(input=compute_input, infer=infer, output=output, moving=moving)
