"""How long a worker took over a batch."""

import struct
from dataclasses import dataclass

from service.workers.frames import FrameError

_FORM = struct.Struct("<QQQ")


@dataclass(kw_only=True, slots=True)
class Timings:
    """Nanoseconds to view the inputs, to compute, and to write the outputs. The payload of a RESULT frame."""

    input: int
    infer: int
    output: int

    def pack(self) -> bytes:
        """As a payload."""
        return _FORM.pack(self.input, self.infer, self.output)

    @classmethod
    def unpack(cls, payload: bytes) -> "Timings":
        """From a payload. Raises FrameError when it isn't one."""
        if len(payload) != _FORM.size:
            raise FrameError(f"{len(payload)} bytes aren't timings")
        compute_input, infer, output = _FORM.unpack(payload)
        return cls(input=compute_input, infer=infer, output=output)
