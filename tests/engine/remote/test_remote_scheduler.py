"""Passing requests through, whatever the remote does."""

import asyncio
import math
from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from service.artifact.config import parse_config
from service.engine.admission import Admission
from service.engine.exchange import Exchange
from service.engine.remote.breaker import Breaker
from service.engine.remote.fault import Kind, RemoteFault
from service.engine.scheduling.remote import RemoteScheduler
from service.errors import BackendError, HoneError, NotReady, QueueFull
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from tests.engine.remote.asking import Client
from tests.engine.remote.triton import rows

CONFIG = """
max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }
output { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }
"""
BEHAVIOURS = ["answer", "late answer", "bug", *Kind]


class Scripted:
    """A remote that does what the script says, one word a call, and from then on answers."""

    def __init__(self, script: list[str | Kind]) -> None:
        self._script = script

    async def infer(self, request: InferRequest, _seconds: float) -> Mapping[str, Tensor]:
        word = self._script.pop(0) if self._script else "answer"
        await asyncio.sleep(0.01 if word == "late answer" else 0)
        if isinstance(word, Kind):
            raise RemoteFault(word, BackendError(word.value))
        if word == "bug":
            raise ZeroDivisionError
        return {"x": request.inputs[0]}


class Owner:
    """Admits to a scheduler as a remote model does, and counts."""

    def __init__(self, script: list[str | Kind]) -> None:
        self.metrics = ModelMetrics()
        self.breaker = Breaker(lambda: None)
        self._admission = Admission(parse_config(CONFIG, name="m"), self.metrics, default_deadline=30)
        self.scheduler = RemoteScheduler(
            Scripted(script), self.breaker, self.metrics, self._respond, max_requests=6, max_bytes=1000
        )
        self.endings: dict[Exchange, int] = {}

    def submit(self, client: Client, timeout: float) -> Exchange:
        request = InferRequest(
            model="m", version=None, inputs=(Tensor(name="x", datatype="FP32", array=rows(1)),), timeout=timeout
        )
        exchange = self._admission.exchange(request, client, self)
        self.scheduler.submit(exchange)
        return exchange

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        self._admission.ended(exchanges, error)
        for exchange in exchanges:
            self.endings[exchange] = self.endings.get(exchange, 0) + 1
            self.scheduler.left(exchange)

    def _respond(self, exchange: Exchange, answer: Mapping[str, Tensor]) -> None:
        exchange.answer(InferResponse(model="m", version="1", outputs=tuple(answer.values())))


STEPS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from([0.001, 0.02, 5.0])),
    st.tuples(st.sampled_from(["cancel", "pause", "recover"]), st.just(0.0)),
)


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=25), st.lists(st.sampled_from(BEHAVIOURS), max_size=40))
def test_every_request_ends_once(steps: list[tuple[str, float]], script: list[str | Kind]) -> None:
    """Under any mix of answers, faults, bugs, cancellations and deadlines each request ends exactly once, and nothing
    of it stays behind.
    """
    asyncio.run(_every_request_ends_once(steps, script))


async def _every_request_ends_once(steps: list[tuple[str, float]], script: list[str | Kind]) -> None:
    owner = Owner(script)
    asked: list[tuple[Client, Exchange]] = []
    for step, seconds in steps:
        if step == "submit":
            client = Client()
            try:
                asked.append((client, owner.submit(client, seconds)))
            except (NotReady, QueueFull):
                assert not client.endings
        elif step == "cancel" and asked:
            asked[-1][1].cancel()
        elif step == "recover":
            owner.breaker.recovered()
        else:
            await asyncio.sleep(0.002)
    endings = [await client.ending() for client, _ in asked]
    await asyncio.sleep(0)
    await owner.scheduler.stop()

    assert [1] * len(asked) == [len(client.endings) for client, _ in asked]
    assert {exchange: 1 for _, exchange in asked} == owner.endings
    assert len(endings) == sum(owner.metrics.requests.values())
    assert (0, math.inf) == (owner.metrics.pending(), owner.metrics.waiting_since())


async def test_who_is_at_the_remote_longest_is_known() -> None:
    """There all that is under way waits."""
    owner, clients = Owner(["late answer", "late answer"]), [Client(), Client()]
    first, second = [owner.submit(client, 5.0) for client in clients]
    assert first.admitted == owner.metrics.waiting_since()

    first.cancel()
    assert second.admitted == owner.metrics.waiting_since()
    await clients[1].ending()
    assert math.inf == owner.metrics.waiting_since()
    await owner.scheduler.stop()
