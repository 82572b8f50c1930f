"""Bodies that are received past the parser: in any pieces, in any company, they are what was sent."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from service.protocol.http.large_body import LARGE
from service.protocol.limits import Limits
from tests.contract.live import Client, Live, body, eventually, serve, status
from tests.contract.raw import binary, get, infer, tensor

ROOMY = Limits(max_json_bytes=65536, max_binary_bytes=8 * LARGE, receive_seconds=0.5)
PARAMETERS = {"binary_data_output": True}


@pytest.fixture(scope="module", params=[True, False], ids=["fast", "asgi"])
def roomy(request: pytest.FixtureRequest) -> Iterator[Live]:
    """A server, by either entrance, that takes large bodies."""
    with serve(fast=request.param, limits=ROOMY, keep_alive=5) as live:
        yield live


def picture(seed: int, elements: int = LARGE // 2) -> NDArray[np.float32]:
    """Twice as many bytes as make a body a large one."""
    return np.random.default_rng(seed).random((1, elements), dtype=np.float32)


def asking(array: NDArray[np.float32]) -> bytes:
    return binary(array, "FP32", parameters=PARAMETERS)


def is_answer(answer: bytes, array: NDArray[np.float32]) -> bool:
    """Whether these are twice the numbers and one more, bit by bit."""
    return status(answer) == 200 and body(answer).endswith((array * 2 + 1).tobytes())


@pytest.mark.parametrize("cut", [0, 1, 100, 300, 5000, LARGE - 1, LARGE, LARGE + 1, 2 * LARGE - 1])
def test_in_two_pieces(roomy: Live, cut: int) -> None:
    """Wherever it is cut, also after requests of all kinds on the same connection."""
    with Client(roomy.port) as client:
        for number, small in enumerate((infer(tensor([3, 0])), get("/v2/health/live"))):
            array = picture(number)
            request = asking(array)
            client.send(request[:cut])
            time.sleep(0.02)
            client.send(request[cut:])
            assert is_answer(client.answer(), array)
            client.send(small)
            assert status(client.answer()) == 200


def test_with_the_next_request_right_behind(roomy: Live) -> None:
    """What follows the body isn't taken for a part of it."""
    arrays = [picture(number, elements) for number, elements in enumerate((LARGE, LARGE // 2, 3, LARGE // 3))]
    with Client(roomy.port) as client:
        client.send(b"".join(map(asking, arrays)))
        assert all(is_answer(client.answer(), array) for array in arrays)


def test_a_client_that_goes_away_half_way(roomy: Live) -> None:
    """Nobody hears of its request, and the next client is answered."""
    before = len(roomy.engine.requests)
    with Client(roomy.port) as client:
        client.send(asking(picture(0))[: LARGE + 5000])
        time.sleep(0.05)
    with Client(roomy.port) as client:
        client.send(asking(picture(1)))
        assert is_answer(client.answer(), picture(1))
    eventually(lambda: len(roomy.engine.requests) == before + 1)


def test_one_that_takes_too_long() -> None:
    """The time to receive a request goes on while its body is received."""
    with serve(fast=True, limits=ROOMY) as live, Client(live.port) as client:
        client.send(asking(picture(0))[: LARGE + 5000])
        assert status(client.answer()) == 408


def test_one_that_is_announced_only_as_json(roomy: Live) -> None:
    """JSON beyond its own limit is refused by its length, however it would be received."""
    with Client(roomy.port) as client:
        client.send(infer(tensor([0.5] * LARGE, shape=[1, LARGE])))
        assert status(client.answer()) == 413
