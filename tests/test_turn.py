"""The end of a turn of the event loop: what came is taken first, and what follows from it is done last."""

import asyncio
from typing import Any

import uvloop

from service.turn import Turn


async def test_what_came_is_taken_before_anything_follows_from_it() -> None:
    """In the order of arrival, also what is added on the way; and all of it in one step of the loop."""
    turn, done = Turn.of(asyncio.get_running_loop()), list[str]()

    def first() -> None:
        done.append("first")
        turn.last(lambda: done.append("follows"))

    turn.last(lambda: done.append("last"))
    turn.take(first)
    turn.take(lambda: done.append("second"))
    assert not done

    await asyncio.sleep(0)
    assert ["first", "second", "last", "follows"] == done


async def test_a_failure_is_reported_and_hurts_nobody_else() -> None:
    """The loop hears of it as of any callback's, and the others are called all the same."""
    loop, reported, done = asyncio.get_running_loop(), list[Any](), list[int]()
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))
    turn = Turn.of(loop)
    turn.take(lambda: done.append(1 // 0))
    turn.take(lambda: done.append(2))
    turn.last(lambda: done.append(3))
    for _ in range(3):
        await asyncio.sleep(0)

    assert [2, 3] == done
    assert [ZeroDivisionError] == [type(error) for error in reported]


def test_a_loop_has_one_turn_and_takes_it_along() -> None:
    """Whoever asks gets the same, also from uvloop; it ends with its loop."""

    async def turns() -> tuple[Turn, Turn]:
        loop = asyncio.get_running_loop()
        return Turn.of(loop), Turn.of(loop)

    one, same = uvloop.run(turns())
    other, _ = asyncio.run(turns())
    assert one is same
    assert one is not other
