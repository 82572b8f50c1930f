"""Whatever an ensemble looks like and whatever happens to it, everybody hears of everything once."""

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine.exchange import Exchange
from service.errors import BackendError, DeadlineExceeded, HoneError, QueueFull
from service.messages import InferRequest, Tensor
from tests.engine.ensemble.doubles import Shelf, StepModel, Tensors, config, ensemble, model, step
from tests.engine.rig import turn

INPUTS = ("in0", "in1")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps by the tensors that they take, each of which makes two; `outputs` are those of the ensemble."""

    steps: list[tuple[str, ...]]
    outputs: tuple[str, ...]

    def value(self, tensor: str, given: dict[str, float]) -> float:
        """What a tensor comes to: this is computed twice, here and by the models."""
        if tensor in given:
            return given[tensor]
        at, which = int(tensor[1:-1]), "ab".index(tensor[-1])
        return made([self.value(one, given) for one in self.steps[at]], at)[which]


def made(values: list[float], at: int) -> tuple[float, float]:
    total = sum((place + 1) * value for place, value in enumerate(values)) + at
    return total % 1009, (total * 3 + 1) % 1009


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any graph without circles in which both inputs are used."""
    steps: list[tuple[str, ...]] = [INPUTS]
    for at in range(1, draw(st.integers(1, 5))):
        there = [*INPUTS, *(f"t{one}{which}" for one in range(at) for which in "ab")]
        steps.append(tuple(draw(st.lists(st.sampled_from(there), min_size=1, max_size=3))))
    tensors = [f"t{at}{which}" for at in range(len(steps)) for which in "ab"]
    outputs = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=3, unique=True))
    return Plan(steps=steps, outputs=tuple(outputs))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask some", "answer", "answer", "answer", "fail", "leave", "late", "refuse", "swap"]),
        st.integers(0, 1000),
    ),
    max_size=40,
)


class World:
    """An ensemble of such steps, who asked it, and what came of that."""

    def __init__(self, plan: Plan, limit: int) -> None:
        self.plan = plan
        self.shelf = Shelf()
        self.every: list[StepModel] = []
        for at in range(len(plan.steps)):
            self.swap(at)
        inputs, outputs = (" ".join(f"{name}:FP32:1" for name in names) for names in (INPUTS, plan.outputs))
        steps = [self.step(at) for at in range(len(plan.steps))]
        self.model = ensemble(config(*steps, limit=limit, inputs=inputs, outputs=outputs), self.shelf)
        self.asked: list[tuple[Exchange, Tensors, dict[str, float], tuple[str, ...]]] = []

    def step(self, at: int) -> str:
        takes = " ".join(f"x{place}={tensor}" for place, tensor in enumerate(self.plan.steps[at]))
        return step(f"m{at}", takes, f"a=t{at}a b=t{at}b")

    def swap(self, at: int) -> None:
        """Another generation takes a model's place; the old one answers what it has."""

        def compute(**given: NDArray[np.float32]) -> dict[str, Any]:
            values = [float(given[f"x{place}"][0, 0]) for place in range(len(given))]
            first, second = made(values, at)
            return {"a": [[first]], "b": [[second]]}

        inputs = " ".join(f"x{place}:FP32:1" for place in range(len(self.plan.steps[at])))
        self.every.append(model(f"m{at}", compute, inputs=inputs, outputs="a:FP32:1 b:FP32:1"))
        self.shelf.models[f"m{at}"] = self.every[-1]

    def ask(self, number: int, *, some: bool) -> None:
        given = {name: float((number * 7 + place) % 11) for place, name in enumerate(INPUTS)}
        outputs = self.plan.outputs[: 1 + number % len(self.plan.outputs)] if some else ()
        inputs = [
            Tensor(name=name, datatype="FP32", array=np.full((1, 1), value, np.float32))
            for name, value in given.items()
        ]
        request = InferRequest(model="e", version=None, inputs=tuple(inputs), outputs=outputs)
        receiver = Tensors()
        try:
            exchange = self.model.submit(request, receiver)
        except HoneError:
            assert [] == receiver.endings
            return
        assert [] == receiver.endings  # never within the call
        self.asked.append((exchange, receiver, given, outputs or self.plan.outputs))

    def act(self, what: str, number: int) -> None:
        """Do one thing to one of those that it can be done to."""
        busy = [one for one in self.every if one.pending]
        living = [one for one, *_ in self.asked if not one.ended]
        if what.startswith("ask"):
            self.ask(number, some=what == "ask some")
        elif what in ("answer", "fail") and busy:
            one = busy[number % len(busy)]
            one.answer() if what == "answer" else one.fail(BackendError("refused"))
        elif what in ("leave", "late") and living:
            exchange = living[number % len(living)]
            exchange.cancel() if what == "leave" else exchange.fail(DeadlineExceeded("late"))
        elif what == "refuse":
            one = self.shelf.models[f"m{number % len(self.plan.steps)}"]
            one.refusal = None if one.refusal else QueueFull("full")
        elif what == "swap":
            self.swap(number % len(self.plan.steps))

    async def finish(self) -> None:
        """Answer everything that is left."""
        for one in self.every:
            one.refusal = None
        await turn()
        while busy := [one for one in self.every if one.pending]:
            busy[0].answer()
            await turn()

    def check(self) -> None:
        for exchange, receiver, values, outputs in self.asked:
            assert exchange.ended
            assert 1 == len(receiver.endings)
            assert len(receiver.answers) == (receiver.endings[0] is None)
            if receiver.endings[0] is None:
                assert {name: [[self.plan.value(name, values)]] for name in outputs} == receiver.outputs
        for one in self.every:
            assert all(1 == len(endings) for endings in one.endings.values())
        ended = self.model.metrics.statistics
        assert len(self.asked) == ended.successes + ended.failures


@given(plans(), ACTIONS, st.sampled_from([0, 1, 2]))
@settings(max_examples=150)
def test_everybody_hears_once(plan: Plan, actions: list[tuple[str, int]], limit: int) -> None:
    """Every request ends exactly once, well only with the right answer; so does every step's, and none is left over."""

    async def run() -> None:
        world = World(plan, limit)
        await world.model.load()
        for what, number in actions:
            world.act(what, number)
            if number % 3:
                await turn()
        await world.finish()
        world.check()
        assert await world.model.drain(0.001)
        await world.model.stop()

    asyncio.run(run())
