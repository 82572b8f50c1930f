"""Clients that don't read their answers."""

import re
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from service.protocol.limits import MIB, Limits
from tests.contract.live import Client, ask, eventually, serve, status
from tests.contract.raw import binary, infer

SECONDS = 0.5
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
UNREAD = Limits(max_binary_bytes=64 * MIB, send_seconds=SECONDS)
LARGE = binary(np.zeros((1, 8 * MIB), np.float32), "FP32", parameters={"binary_data_output": True})
ASKS_FIRST = LARGE.replace(b"Content-Length", b"Expect: 100-continue\r\nContent-Length", 1)


def received(client: Client) -> int:
    """Read one large answer without keeping it: how many bytes came until it was whole, or was cut off."""
    total, whole = 0, 32 * MIB
    try:
        while total < whole and (piece := client.socket.recv(MIB)):
            if total == 0:
                whole = piece.index(b"\r\n\r\n") + 4 + int(LENGTH.findall(piece)[0])
            total += len(piece)
    except ConnectionResetError:
        pass
    return total


@pytest.mark.parametrize("request_text", [LARGE, ASKS_FIRST], ids=["fast", "through ASGI"])
def test_who_never_reads_is_disconnected(request_text: bytes) -> None:
    """After `send_seconds` the connection ends and what it held is free; others are served all the time."""
    with serve(fast=True, limits=UNREAD) as live, Client(live.port) as client:
        tracemalloc.start()
        try:
            client.send(request_text)
            eventually(lambda: tracemalloc.get_traced_memory()[0] > 30 * MIB)
            eventually(lambda: live.engine.outcomes["ok"] == 1)
            live.engine.requests.clear()
            assert status(ask(live.port, infer())) == 200
            eventually(lambda: not live.server.server_state.connections)
            eventually(lambda: tracemalloc.get_traced_memory()[0] < 8 * MIB)
        finally:
            tracemalloc.stop()
        assert received(client) < 32 * MIB
        assert status(ask(live.port, infer())) == 200


def test_who_reads_late_but_in_time_gets_all() -> None:
    """A pause shorter than `send_seconds` costs nothing, and the clock starts anew with every answer."""
    seconds = 2.0  # also a machine that others use takes 32 MB in half of that
    limits = replace(UNREAD, send_seconds=seconds)
    with serve(fast=True, limits=limits) as live, Client(live.port) as client:
        for _ in range(3):
            client.send(LARGE)
            time.sleep(seconds / 2)
            assert received(client) > 32 * MIB
        time.sleep(seconds * 1.25)
        client.send(infer())
        assert status(client.answer()) == 200
