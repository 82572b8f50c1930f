"""How an RPC ends that was refused."""

from typing import Any

import grpc

from service.errors import HoneError
from service.protocol.status import grpc_status, retry_after


def set_status(context: grpc.aio.ServicerContext[Any, Any], error: HoneError) -> None:
    """Let a call end with this error: code and text, and as trailing metadata its reason, for machines."""
    context.set_code(grpc.StatusCode[grpc_status(error)])
    context.set_details(str(error))
    context.set_trailing_metadata(trailers_of(error))


def trailers_of(error: HoneError) -> tuple[tuple[str, str], ...]:
    """The reason of an error for machines, and after how many seconds to try again, where that is of use."""
    reason = ("hone-reason", error.reason)
    seconds = retry_after(error)
    return (reason,) if seconds is None else (reason, ("retry-after", str(seconds)))


def set_internal_error(context: grpc.aio.ServicerContext[Any, Any]) -> None:
    """A fault of Hone itself: the log has the trace, the client gets none of it."""
    context.set_code(grpc.StatusCode.INTERNAL)
    context.set_details("internal error")
    context.set_trailing_metadata((("hone-reason", "error"),))
