"""A real server that is sent hostile streams, while others ask it and are to be answered right."""

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from tests.contract.live import Client, body, status
from tests.contract.raw import document, post, tensor
from tests.fuzz.campaign import Finding
from tests.fuzz.streams import grpc_stream, http_stream
from tests.integration.models import rows
from tests.integration.served import Served, serving, write_model

STATUSES = frozenset({100, 200, 400, 403, 404, 405, 408, 413, 431, 501, 503, 504})
"""What a client of HTTP may be answered with, whatever it sends: no fault of the server's own."""
_PATIENCE = 10.0
_A_MOMENT = 0.001
"""Seconds in which the server may take a piece before the next is sent."""


@contextlib.contextmanager
def server(root: Path) -> Iterator[Served]:
    """A process that serves `rows`, which doubles rows of four numbers."""
    write_model(root, "rows", config=None, model=rows())
    with serving(root) as served:
        yield served


class HttpWitness:
    """A client that behaves."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked = 0

    def ask(self) -> None:
        """Its own number, doubled, is its answer; every other time it comes in chunks, for the application."""
        self._asked += 1
        text = document(tensor([self._asked, 0.5, 0, 1], shape=[1, 4]), id=str(self._asked))
        request = post("/v2/models/rows/infer", text, *([] if self._asked % 2 else ["Accept-Encoding: gzip, br"]))
        self._client.send(request)
        answer = self._client.answer()
        assert status(answer) == 200
        assert b'"data":[%d.0,1.0,0.0,2.0]' % (2 * self._asked) in body(answer)
        assert b'"id":"%d"' % self._asked in body(answer)


def send_http(served: Served, random: Random) -> None:
    """One hostile connection. Raises Finding unless it is answered by the book, and ends when its client has."""
    pieces = http_stream(random)
    try:
        with socket.create_connection(served.address, timeout=_PATIENCE) as connection:
            answer = _exchanged(connection, pieces)
        found = {int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:] if part[:3].isdigit()}
        assert found <= STATUSES, found
        assert not answer or answer.startswith(b"HTTP/1.1 "), answer[:100]
    except (AssertionError, TimeoutError) as error:
        raise Finding("http", b"|".join(pieces)) from error


def send_grpc(served: Served, random: Random) -> None:
    """One hostile connection to the port of gRPC; what it answers is gRPC's own business."""
    host, _, port = served.grpc.rpartition(":")
    stream = grpc_stream(random)
    with socket.create_connection((host, int(port)), timeout=_PATIENCE) as connection:
        _exchanged(connection, [stream])


class GrpcWitness:
    """A client that behaves."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        self._asked = 0

    def ask(self) -> None:
        """Its own number, doubled, is its answer."""
        self._asked += 1
        row = np.full(4, self._asked, np.float32)
        request = pb.ModelInferRequest(model_name="rows", raw_input_contents=[row.tobytes()])
        request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
        answer = self._stub.ModelInfer(request, timeout=_PATIENCE)
        assert (2 * row).tobytes() == answer.raw_output_contents[0]


def _exchanged(connection: socket.socket, pieces: list[bytes]) -> bytes:
    """All that is answered until the server ends the connection, which it must when its client has nothing to add."""
    received: list[bytes] = []
    with contextlib.suppress(ConnectionError, OSError):
        for piece in pieces:
            connection.sendall(piece)
            if select.select([connection], [], [], _A_MOMENT)[0]:
                received.append(connection.recv(1 << 16))
        connection.shutdown(socket.SHUT_WR)
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            received.append(piece)
    return b"".join(received)
