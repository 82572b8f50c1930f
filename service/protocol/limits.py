"""How much of anything a client may send, or have sent to it in JSON."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The bounds of one request, the same for every door, and of what is held of all.

    JSON is bounded lower than binary because parsing holds the interpreter: 10.7 MiB of it took 256 ms, in which nobody
    else was served. `receive_seconds` is how long a client may take to send one request, `send_seconds`
    how long it may leave its answers unread once they pile up here. `max_json_bytes` bounds the JSON of a request, and
    the tensor data that an answer holds as JSON. `max_held_bytes` bounds the messages of inference over gRPC that are
    being answered, of all clients together; a single one may be larger. `max_bytes_elements` bounds the elements of
    BYTES in a request: each is an object of Python, and nobody else is served while millions are made.
    """

    max_json_bytes: int = 4 * MIB
    max_binary_bytes: int = 64 * MIB
    max_held_bytes: int = 1024 * MIB
    max_bytes_elements: int = 131_072
    max_header_bytes: int = 16 * 1024
    max_tensors: int = 64
    max_rank: int = 16
    max_depth: int = 100
    receive_seconds: float = 30.0
    send_seconds: float = 30.0
