"""An ensemble: its steps are requests to other models, and a client sees one."""

import asyncio
from typing import Any

import pytest

from service.engine.ensemble.model import EnsembleModel
from service.engine.exchange import Exchange
from service.engine.source import EngineLimits
from service.errors import (
    BackendError,
    Cancelled,
    DeadlineExceeded,
    Infeasible,
    InvalidRequest,
    NotReady,
    QueueFull,
    WorkerLost,
)
from tests.engine.ensemble.doubles import Shelf, StepModel, Tensors, config, ensemble, model, request, step
from tests.engine.rig import turn


def plus(number: float) -> Any:
    return lambda x: {"y": x + number}


class Diamond:
    """One step, then two side by side, then one that takes what both have made."""

    def __init__(self, **more: Any) -> None:
        self.head = model("head", plus(1))
        self.left, self.right = model("left", plus(10)), model("right", plus(100))
        self.tail = model("tail", lambda a, b: {"y": a + b}, inputs="a:FP32:3 b:FP32:3")
        self.shelf = Shelf(self.head, self.left, self.right, self.tail)
        steps = (
            step("head", "x=in", "y=h"),
            step("left", "x=h", "y=l"),
            step("right", "x=h", "y=r"),
            step("tail", "a=l b=r", "y=out"),
        )
        self.model = ensemble(config(*steps, outputs="out:FP32:3 l:FP32:3", **more), self.shelf)

    @property
    def models(self) -> list[StepModel]:
        return [self.head, self.left, self.right, self.tail]

    async def ask(self, **more: Any) -> tuple[Exchange, Tensors]:
        receiver = Tensors()
        exchange = self.model.submit(request([1, 2, 3], **more), receiver)
        await turn()
        return exchange, receiver


async def loaded(**more: Any) -> Diamond:
    diamond = Diamond(**more)
    await diamond.model.load()
    return diamond


async def answered(*models: StepModel) -> None:
    for one in models:
        one.answer()
        await turn()


async def test_steps_run_as_soon_as_what_they_take_is_there() -> None:
    """Two that wait for the same run side by side; the answer has what was made, though memory was used again."""
    diamond = await loaded()
    _, receiver = await diamond.ask(id="7")
    assert [1, 0, 0, 0] == [len(one.pending) for one in diamond.models]
    await answered(diamond.head)
    assert [0, 1, 1, 0] == [len(one.pending) for one in diamond.models]
    await answered(diamond.right)
    assert [0, 1, 0, 0] == [len(one.pending) for one in diamond.models]
    await answered(diamond.left, diamond.tail)

    assert receiver.error is None
    assert {"out": [[114.0, 116.0, 118.0]], "l": [[12.0, 13.0, 14.0]]} == receiver.outputs
    assert [None] == [ending for one in (diamond.tail,) for (ending,) in one.endings.values()]


async def test_what_nobody_needs_is_not_computed() -> None:
    """A request for one output runs the steps behind it alone, as in Triton."""
    diamond = await loaded()
    _, receiver = await diamond.ask(outputs=("l",))
    await answered(diamond.head, diamond.left)

    assert (None, {"l": [[12.0, 13.0, 14.0]]}) == (receiver.error, receiver.outputs)
    assert [1, 1, 0, 0] == [len(one.endings) for one in diamond.models]


async def test_steps_inherit_what_the_request_says() -> None:
    """Its id, parameters and priority, and the time that is left of its deadline; outputs are asked for by name."""
    diamond = await loaded()
    exchange, _ = await diamond.ask(id="7", priority=2, parameters={"k": 1}, timeout=5.0)
    await answered(diamond.head)
    asked = diamond.left.pending[0].request

    assert ("7", {"k": 1}, 2, ("y",), "ensemble") == (
        asked.id,
        asked.parameters,
        asked.priority,
        asked.outputs,
        asked.protocol,
    )
    assert asked.timeout
    assert 4.0 < asked.timeout < 5.0
    assert diamond.left.pending[0].deadline == pytest.approx(exchange.deadline, abs=0.01)


async def test_the_first_step_that_fails_fails_the_whole() -> None:
    """With its error, naming the step; what runs beside it is cancelled, what would follow never begins."""
    diamond = await loaded()
    _, receiver = await diamond.ask()
    await answered(diamond.head)
    diamond.left.fail(BackendError("the runtime refused this"))
    await turn()

    assert isinstance(receiver.error, BackendError)
    assert 'step 2 (model "left"): the runtime refused this' == str(receiver.error)
    assert [Cancelled] == [type(ending) for (ending,) in diamond.right.endings.values()]
    assert not diamond.tail.endings
    assert 1 == diamond.model.metrics.requests["http", "error"]


async def test_a_later_step_that_is_refused_fails_the_whole() -> None:
    """The refusal keeps its class and how long to wait, and counts as the step's model's too."""
    diamond = await loaded()
    _, receiver = await diamond.ask()
    diamond.left.refusal = Infeasible("would be finished in 9 s", 9.0)
    await answered(diamond.head)

    assert isinstance(receiver.error, Infeasible)
    assert ('step 2 (model "left"): would be finished in 9 s', 9) == (str(receiver.error), receiver.error.retry_after)
    assert 1 == diamond.left.metrics.requests["ensemble", "rejected"]
    assert 1 == diamond.model.metrics.rejected["deadline_infeasible"]


async def test_a_step_answers_once() -> None:
    """A model that answers again fails the request."""
    diamond = await loaded()
    _, receiver = await diamond.ask()
    await answered(diamond.head)
    diamond.left.answer(times=2)
    await turn()

    assert 'step 2 (model "left"): the model answers more than once, which steps of an ensemble can\'t' == str(
        receiver.error
    )


async def test_a_first_step_that_is_refused_refuses_the_request() -> None:
    """Whoever submits hears of it at once, and nothing is left of the steps beside it."""
    one, other = model("one", plus(1)), model("other", plus(2))
    join = model("join", lambda a, b: {"y": a + b}, inputs="a:FP32:3 b:FP32:3")
    steps = step("one", "x=in", "y=a"), step("other", "x=in", "y=b"), step("join", "a=a b=b", "y=out")
    whole = ensemble(config(*steps), Shelf(one, other, join))
    await whole.load()
    other.refusal = QueueFull("4 requests are waiting")
    receiver = Tensors()
    with pytest.raises(QueueFull, match=r'step 2 \(model "other"\): 4 requests are waiting'):
        whole.submit(request([1, 2, 3]), receiver)
    await turn()

    assert [] == receiver.endings
    assert [Cancelled] == [type(ending) for (ending,) in one.endings.values()]
    assert await whole.drain(0.01)


async def test_who_leaves_takes_the_steps_along() -> None:
    """A client that goes away cancels what runs for it, and later steps never begin."""
    diamond = await loaded()
    exchange, receiver = await diamond.ask()
    await answered(diamond.head)
    exchange.cancel()
    await turn()

    assert isinstance(receiver.error, Cancelled)
    for one in (diamond.left, diamond.right):
        assert [Cancelled] == [type(ending) for (ending,) in one.endings.values()]
    assert await diamond.model.drain(0.01)


async def test_one_deadline_bounds_all_steps() -> None:
    """It ends the whole wherever it is, and the step under way."""
    diamond = await loaded()
    _, receiver = await diamond.ask(timeout=0.03)
    await answered(diamond.head)
    await asyncio.sleep(0.06)

    assert isinstance(receiver.error, DeadlineExceeded)
    assert "not finished within 0.03 s" == str(receiver.error)
    assert not diamond.left.pending
    assert not diamond.right.pending


async def test_a_request_that_does_not_fit_is_refused_before_any_step() -> None:
    """The ensemble's own tensors are compared first."""
    diamond = await loaded()
    with pytest.raises(InvalidRequest, match=r'has shape \[1, 2\], model "e" takes \[-1, 3\]'):
        diamond.model.submit(request([1, 2]), Tensors())
    assert not diamond.head.endings


async def test_stopping_fails_what_is_under_way() -> None:
    """A generation that is stopped leaves nobody waiting, and nothing behind."""
    diamond = await loaded()
    _, receiver = await diamond.ask()
    assert not await diamond.model.drain(0.01)
    await diamond.model.stop()

    assert isinstance(receiver.error, WorkerLost)
    assert not diamond.head.pending
    assert not diamond.model.metrics.ready


async def test_a_model_that_takes_anothers_place_is_used_at_once() -> None:
    """Also between two steps of the same request."""
    diamond = await loaded()
    _, receiver = await diamond.ask()
    old, new = diamond.tail, model("tail", lambda a, b: {"y": a - b}, inputs="a:FP32:3 b:FP32:3")
    diamond.shelf.models["tail"] = new
    await answered(diamond.head, diamond.left, diamond.right, new)

    assert not old.endings
    assert [[-90.0, -90.0, -90.0]] == receiver.outputs["out"]


async def test_a_model_that_fits_no_more_is_not_used() -> None:
    """The ensemble isn't ready, with the reason, until one comes that fits; a request on its way hears of it too."""
    diamond = await loaded()
    _, receiver = await diamond.ask()
    diamond.shelf.models["tail"] = model("tail", lambda a, c: {"y": a + c}, inputs="a:FP32:3 c:FP32:3")
    await answered(diamond.head, diamond.left, diamond.right)
    words = 'step 4 (model "tail"): the model has no input "b"'

    assert isinstance(receiver.error, NotReady)
    assert words in str(receiver.error)
    assert (False, True) == (diamond.model.ready, words in diamond.model.problem)
    for ask in (lambda: diamond.model.submit(request([1, 2, 3]), Tensors()), lambda: diamond.model.precheck(None)):
        with pytest.raises(NotReady):
            ask()
    diamond.shelf.models["tail"] = diamond.tail
    assert diamond.model.ready


async def test_a_model_that_is_missing_is_named() -> None:
    """The ensemble is loaded all the same, isn't ready, refuses requests for now, and is ready once it comes."""
    diamond = Diamond()
    del diamond.shelf.models["left"]
    await diamond.model.load()
    words = 'step 2 (model "left"): no model "left" is served here'

    assert (False, words, False) == (diamond.model.ready, diamond.model.problem, diamond.model.metrics.ready)
    with pytest.raises(NotReady, match="left"):
        diamond.model.submit(request([1, 2, 3]), Tensors())
    diamond.shelf.models["left"] = diamond.left
    assert (True, "") == (diamond.model.ready, diamond.model.problem)


async def test_a_model_that_cannot_compute_is_named() -> None:
    """Whether its requests wait or are refused is that model's business; the index says what is wrong."""
    diamond = await loaded()
    diamond.right.ready, diamond.right.problem = False, "its worker ended"

    assert 'step 3 (model "right"): its worker ended' == diamond.model.problem
    await diamond.ask()
    assert 1 == len(diamond.head.pending)


async def test_first_steps_are_asked_before_a_body_is_read() -> None:
    """Those that every request takes, and how long it may be at most."""
    diamond = await loaded(more='parameters { key: "hone.deadline_ms" value { string_value: "500" } }')
    diamond.model.precheck(9.0)
    diamond.model.precheck(None)
    assert [[0.5, 0.5], [], [], []] == [one.prechecked for one in diamond.models]
    diamond.head.refusal = Infeasible("too late")
    with pytest.raises(Infeasible, match=r'step 1 \(model "head"\): too late'):
        diamond.model.precheck(0.1)


async def test_what_is_counted() -> None:
    """A request is one execution; what its steps took is its compute time, and it never waits itself."""
    diamond = await loaded()
    await diamond.ask()
    await answered(*diamond.models)
    metrics = diamond.model.metrics

    assert (1, 1, 1) == (metrics.requests["http", "ok"], metrics.inferences, metrics.executions)
    assert (1, 0.0) == (sum(metrics.queue_duration.counts), metrics.queue_duration.total)
    assert metrics.statistics.phases[1] > 0
    assert metrics.ready
    assert "ensemble" == metrics.info["backend"]


async def test_places_in_a_step() -> None:
    """With `max_inflight_requests` others wait in their order before each step; who leaves frees the place."""
    diamond = await loaded(limit=1)
    first, _ = await diamond.ask()
    second, gone = await diamond.ask()
    _, third = await diamond.ask()
    assert 1 == len(diamond.head.pending)
    second.cancel()
    first.cancel()
    await turn()
    assert 1 == len(diamond.head.pending)
    await answered(*diamond.models)

    assert (None, True) == (third.error, isinstance(gone.error, Cancelled))
    assert [2, 1, 1, 1] == [len(one.endings) for one in diamond.models]


async def test_who_waits_for_a_place_is_bounded_and_in_time() -> None:
    """No more wait than the server's queues hold, and none beyond its deadline."""
    one = model("one", plus(1))
    shelf = Shelf(one)
    whole = ensemble(config(step("one", "x=in", "y=out"), limit=1), shelf, EngineLimits(max_queued_requests=1))
    await whole.load()
    late = Tensors()
    whole.submit(request([1, 2, 3]), Tensors())
    whole.submit(request([1, 2, 3], timeout=0.02), late)
    with pytest.raises(QueueFull, match=r'step 1 \(model "one"\): 1 requests wait for the step, the limit is 1'):
        whole.submit(request([1, 2, 3]), Tensors())
    await asyncio.sleep(0.04)

    assert isinstance(late.error, DeadlineExceeded)
    whole.submit(request([1, 2, 3]), Tensors())
    await answered(one, one)


async def test_an_ensemble_of_an_ensemble() -> None:
    """Its errors say the way; a model that can't compute keeps both from being ready."""
    one, two = model("one", plus(1)), model("two", plus(2))
    shelf = Shelf(one, two)
    inner = ensemble(config(step("one", "x=in", "y=out"), name="inner"), shelf)
    outer = ensemble(config(step("inner", "in=in", "out=t"), step("two", "x=t", "y=out")), shelf)
    for each in (inner, outer):
        await each.load()
    receivers = Tensors(), Tensors()
    for receiver in receivers:
        outer.submit(request([1, 2, 3]), receiver)
    await answered(one, two)
    one.fail()
    one.ready = False

    assert [[4.0, 5.0, 6.0]] == receivers[0].outputs["out"]
    assert 'step 1 (model "inner"): step 1 (model "one"): refused' == str(receivers[1].error)
    assert 'step 1 (model "inner"): step 1 (model "one"): is not ready' == outer.problem


async def test_ensembles_that_are_made_of_each_other() -> None:
    """Whichever is looked at says so, and neither is ready."""
    shelf = Shelf()
    models: list[EnsembleModel] = [
        ensemble(config(step(other, "in=in", "out=out"), name=name), shelf)
        for name, other in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    assert "a: an ensemble can't be made of itself: a -> b -> c -> a" == models[0].problem
    for each in models:
        assert not each.ready
        with pytest.raises(NotReady, match="can't be made of itself"):
            each.submit(request([1, 2, 3]), Tensors())
