"""How much of anything a client may send."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The bounds of one request, the same for every door.

    JSON is bounded lower than binary because parsing holds the interpreter: 10.7 MiB of it took 256 ms, in which nobody
    else was served. `receive_seconds` is how long a client may take to send one request.
    """

    max_json_bytes: int = 4 * MIB
    max_binary_bytes: int = 64 * MIB
    max_header_bytes: int = 16 * 1024
    max_tensors: int = 64
    max_rank: int = 16
    max_depth: int = 100
    receive_seconds: float = 30.0
