"""What came back from a remote server instead of an answer, and what that says about it."""

from enum import Enum

from service.errors import HoneError


class Kind(Enum):
    """What a fault says about the remote, and so whether the request may be sent again."""

    UNREACHED = "unreached"
    """No connection: the request was never sent."""
    LOST = "lost"
    """The connection ended under the request: it may have been computed, or be why the remote ended."""
    DECLINED = "declined"
    """The remote took nothing in: its queue is full, or its model isn't ready."""
    REFUSED = "refused"
    """The remote has looked at the request and refuses it."""
    LATE = "late"
    """Time ran out, which says nothing about the remote."""

    @property
    def uncomputed(self) -> bool:
        """Whether nothing was computed for certain, so that sending the request again can do no harm."""
        return self in (Kind.UNREACHED, Kind.DECLINED)

    @property
    def of_connection(self) -> bool:
        """Whether it speaks against the connection."""
        return self in (Kind.UNREACHED, Kind.LOST)


class RemoteFault(Exception):
    """A call to a remote server failed; `error` is what the client is told."""

    def __init__(self, kind: Kind, error: HoneError) -> None:
        super().__init__(str(error))
        self.kind = kind
        self.error = error
