"""Frames over a seqpacket socket, with the descriptors that travel beside them."""

import array
import os
import socket
from collections.abc import Sequence

from service.workers.frames import MAX_FRAME_BYTES, Frame, encode
from service.workers.region import Region

_INT = array.array("i").itemsize


def send(connection: socket.socket, frame: Frame, regions: Sequence[Region] = ()) -> None:
    """One frame, and the descriptors of `regions`. Raises OSError as the socket does."""
    if not regions:
        connection.send(encode(frame))
        return
    descriptors = array.array("i", [region.fd for region in regions])
    connection.sendmsg([encode(frame)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])


def receive(connection: socket.socket, most_descriptors: int) -> tuple[bytes, list[int]]:
    """The next message, empty at the end of the socket, and the descriptors sent along, now ours.

    Raises OSError as the socket does. Descriptors beyond `most_descriptors` are closed by the kernel.
    """
    data, ancillary, _, _ = connection.recvmsg(
        MAX_FRAME_BYTES, socket.CMSG_LEN(most_descriptors * _INT), socket.MSG_CMSG_CLOEXEC
    )
    if not ancillary:
        return data, []
    descriptors = array.array("i")
    for level, kind, rights in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(rights[: len(rights) // _INT * _INT])
    return data, descriptors.tolist()


def close(descriptors: Sequence[int]) -> None:
    """Close descriptors that nobody wants."""
    for descriptor in descriptors:
        os.close(descriptor)
