"""A model that has just refused a request is asked again before the next body is parsed."""

import pytest

from service.protocol.client_memory import ClientMemory
from service.protocol.http.infer_door import InferDoor, Route
from service.protocol.http.reply import Reply
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine
from tests.protocol.bodies import json_body, small

ROUTE: Route = ("overloaded", None)


class Refusing(DoubleEngine):
    """Counts how often it is asked beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def precheck(self, model: str, version: str | None, timeout: float | None) -> None:
        self.asked += 1
        super().precheck(model, version, timeout)


def ask(door: InferDoor, body: bytes, route: Route = ROUTE) -> str:
    """The reason that a request is refused with."""
    reply = Reply(lambda: None, 1000)
    assert door.submit(route, {}, body, reply) is None
    assert reply.failure
    return reply.failure.body.decode()


@pytest.mark.parametrize("body", [json_body(small()), b"no JSON at all"])
async def test_after_a_refusal_bodies_are_not_parsed(body: bytes) -> None:
    """The first request is parsed and refused; those after it are refused whatever they hold."""
    engine = Refusing()
    door = InferDoor(engine, Limits(), ClientMemory(allowed=False))
    assert "deadline_infeasible" in ask(door, json_body(small()))
    assert engine.asked == 0

    assert "deadline_infeasible" in ask(door, body)
    assert engine.asked == 1
    assert [("overloaded", None, "deadline_infeasible")] == engine.refused[-1:]


async def test_a_bad_request_is_no_sign_of_overload() -> None:
    """What a client did wrong doesn't make the door ask beforehand."""
    engine = Refusing()
    door = InferDoor(engine, Limits(), ClientMemory(allowed=False))
    ask(door, json_body(small()), ("wrong", None))
    ask(door, json_body(small()), ("wrong", None))

    assert engine.asked == 0


async def test_where_bodies_grant_less_time_headers_do_not_suffice() -> None:
    """A request that is due sooner than its headers say may go before others, so its body is read."""
    engine = Refusing()
    door = InferDoor(engine, Limits(), ClientMemory(allowed=False))
    ask(door, json_body(small(), parameters={"timeout": 1000}))
    for _ in range(3):
        assert "deadline_infeasible" in ask(door, json_body(small()))

    assert engine.asked == 0


async def test_many_names_with_times_of_their_own_fill_no_memory() -> None:
    """What is remembered of routes has a bound."""
    door = InferDoor(DoubleEngine(), Limits(), ClientMemory(allowed=False))
    for number in range(3000):
        ask(door, json_body(small(), parameters={"timeout": 1000}), (f"unknown-{number}", None))

    assert len(door._untold) <= 1024
