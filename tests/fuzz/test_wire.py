"""Streams of bytes that no client should send, to a real server, from a fixed seed."""

import socket
from collections.abc import Iterator
from random import Random

import grpc
import pytest

from tests.contract.live import Client
from tests.fuzz.streams import opening
from tests.fuzz.wire import GrpcWitness, HttpWitness, send_grpc, send_http, server
from tests.integration.served import Served

STREAMS = 300


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process for all, which has logged no fault in the end."""
    with server(tmp_path_factory.mktemp("models")) as served:
        yield served
        assert served.process.poll() is None
    assert [] == [line for line in served.log if line.get("level") in {"error", "critical"} or line["event"] == "text"]


def test_hostile_http_costs_nobody_else_an_answer(served: Served) -> None:
    """Connections of which requests are cut, doubled and lie about their lengths: 4xx or the end, and others' answers
    stay right.
    """
    random = Random("http")
    with Client(served.address[1]) as client:
        witness = HttpWitness(client)
        for _ in range(STREAMS):
            send_http(served, random)
            witness.ask()


def test_hostile_frames_cost_nobody_else_an_answer(served: Served) -> None:
    """The same of HTTP/2 on the port of gRPC."""
    random = Random("grpc")
    with grpc.insecure_channel(served.grpc) as channel:
        witness = GrpcWitness(channel)
        for _ in range(STREAMS):
            send_grpc(served, random)
            witness.ask()


def test_a_method_whose_name_is_no_text_costs_its_caller_only(served: Served) -> None:
    """It is refused as any that isn't there; gRPC's own server stops at it, with all calls that are under way."""
    host, _, port = served.grpc.rpartition(":")
    with grpc.insecure_channel(served.grpc) as channel:
        witness = GrpcWitness(channel)
        for path in (b"/a\xff", b"/inference.GRPCInferenceService/\xff", b"\xff" * 100):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(opening(path))
                while b"grpc-status" not in (answer := connection.recv(4096)):
                    assert answer, "the server closed the connection without a status"
            assert b"12" in answer.partition(b"grpc-status")[2][:4], "UNIMPLEMENTED"
            witness.ask()
