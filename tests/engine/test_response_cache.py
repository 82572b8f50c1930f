"""The response cache: what it gives again is what was computed, and it keeps within its bound."""

import asyncio
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.artifact.config import parse_config
from service.engine.admission import Admission
from service.engine.exchange import Exchange, end_all
from service.engine.response_cache import ENTRY_BYTES, LARGEST, ModelCache, ResponseCache
from service.errors import BackendError, Cancelled, HoneError
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from tests.engine.rig import turn

CONFIG = parse_config(
    """
    max_batch_size: 4
    input [ { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "t" data_type: TYPE_STRING dims: [ 2 ] } ]
    output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "u" data_type: TYPE_STRING dims: [ 2 ] } ]
    response_cache { enable: true }
    """,
    name="m",
)
PLENTY = 1 << 20
WIDTH = 40
FLOATS = [0.0, -0.0, 1.0, float("nan"), float("inf"), -float("inf"), 1e-45]
TEXTS = [b"", b"a", b"aa", b"\0a", "ä".encode()]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a test asks for: a request's content, and what of it the model is to answer."""

    x: tuple[float, ...]
    t: tuple[bytes, ...]
    outputs: tuple[str, ...] = ()

    def request(self, request_id: str = "") -> InferRequest:
        rows = len(self.x) // 2
        texts = np.empty(2 * rows, np.object_)
        texts[:] = self.t
        return InferRequest(
            model="m",
            version=None,
            inputs=(
                Tensor(name="t", datatype="BYTES", array=texts.reshape(rows, 2)),
                Tensor(name="x", datatype="FP32", array=np.array(self.x, np.float32).reshape(rows, 2)),
            ),
            outputs=self.outputs,
            id=request_id,
        )


class Kept:
    """A Receiver that copies the bits of what it is told, and knows when it mustn't be told."""

    def __init__(self) -> None:
        self.submitting = True
        self.answers: list[list[tuple[str, str, tuple[int, ...], object]]] = []
        self.ids: list[str] = []
        self.endings: list[HoneError | None] = []

    def emit(self, response: InferResponse) -> None:
        assert not self.submitting
        self.ids.append(response.id)
        self.answers.append([(one.name, one.datatype, one.array.shape, bits(one.array)) for one in response.outputs])

    def finish(self, error: HoneError | None) -> None:
        assert not self.submitting
        self.endings.append(error)


class Generation:
    """A model that marks what it computes, and answers when it is told to. Implements `ExchangeOwner`."""

    def __init__(self, cache: ResponseCache, mark: int) -> None:
        self.mark = mark
        self.metrics = ModelMetrics()
        opened = cache.open(CONFIG, "1", self.metrics)
        assert opened
        self.cache: ModelCache = opened
        self.admission = Admission(CONFIG, self.metrics, default_deadline=60)
        self.waiting: list[Exchange] = []

    def submit(self, request: InferRequest, receiver: Kept) -> Exchange:
        exchange = self.admission.exchange(request, receiver, self)
        if not self.cache.answers(exchange):
            self.waiting.append(exchange)
        self.admission.live += 1
        receiver.submitting = False
        return exchange

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        self.admission.ended(exchanges, error)

    def compute(self) -> None:
        """Answer all that wait, out of memory that is used again at once."""
        waiting, self.waiting = self.waiting, []
        for exchange in waiting:
            arrays = computed(exchange.inputs, self.mark)
            outputs = tuple(
                Tensor(name=spec.name, datatype=spec.datatype, array=arrays[position])
                for position, spec in exchange.outputs
            )
            exchange.emit(InferResponse(model="m", version="1", outputs=outputs, id=exchange.request.id))
            for array in arrays:
                array[...] = 0
        end_all(waiting, None)


def computed(inputs: Sequence[NDArray[Any]], mark: int) -> list[NDArray[Any]]:
    """Both inputs, with the model's mark; the first repeated, so that answers differ in size by their rows."""
    x, t = inputs
    wide = np.concatenate([np.tile(x, (1, WIDTH)), np.full((len(x), 1), mark, np.float32)], axis=1)
    texts = np.empty(t.size, np.object_)
    texts[:] = [element + b"%d" % mark for element in t.flat]
    return [wide, texts.reshape(t.shape)]


def bits(array: NDArray[Any]) -> object:
    return array.tolist() if array.dtype.hasobject else array.tobytes()


def expected(asked: Asked, mark: int) -> list[tuple[str, str, tuple[int, ...], object]]:
    tensors = {tensor.name: tensor.array for tensor in asked.request().inputs}
    y, u = computed([tensors["x"], tensors["t"]], mark)
    found = {"y": ("y", "FP32", y.shape, bits(y)), "u": ("u", "BYTES", u.shape, bits(u))}
    return [found[name] for name in asked.outputs or ("y", "u")]


def askings(rows: int) -> st.SearchStrategy[Asked]:
    """Of so many rows: mostly alike, so that they are told apart by one thing only."""
    special = st.lists(st.sampled_from(FLOATS), min_size=2 * rows, max_size=2 * rows).map(tuple)
    return st.builds(
        Asked,
        x=st.just((0.0,) * 2 * rows) | special,
        t=st.lists(st.sampled_from(TEXTS), min_size=2 * rows, max_size=2 * rows).map(tuple),
        outputs=st.sampled_from([(), ("y",), ("u",), ("u", "y")]),
    )


POOLS = st.lists(st.sampled_from([1, 1, 1, 3]).flatmap(askings), min_size=2, max_size=12)
STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "wait", "leave", "swap"]), st.integers(0, 1), st.integers(0, 11)),
    min_size=20,
    max_size=60,
)


@given(POOLS, STEPS, st.sampled_from([1, 5000, 8000, PLENTY]))
def test_an_answer_from_the_cache_is_the_one_that_would_be_computed(
    pool: list[Asked], steps: list[tuple[str, int, int]], most: int
) -> None:
    """Bit by bit, whatever was asked, kept, driven out or swapped before; each request ends exactly once, and the
    bound holds after every step.
    """

    async def play() -> None:
        cache = ResponseCache(most)
        living = [Generation(cache, mark) for mark in range(2)]
        every = list(living)
        asked: list[tuple[Generation, Asked, Kept, bool]] = []
        for step, which, number in steps:
            generation = living[which]
            if step == "swap":
                await generation.cache.close()
                living[which] = Generation(cache, len(every))
                every.append(living[which])
            else:
                one, receiver = pool[number % len(pool)], Kept()
                exchange = generation.submit(one.request(str(len(asked))), receiver)
                asked.append((generation, one, receiver, step == "leave"))
                if step == "leave":
                    exchange.cancel()
                elif step == "ask":
                    await turn()
                    generation.compute()
            assert cache.nbytes <= most
            assert cache.nbytes == sum(one.metrics.cache_bytes for one in every)
            assert len(cache) == sum(len(one.cache.keys) for one in every)
        await turn()
        for generation in every:
            generation.compute()
            assert generation.admission.live == 0
        for number, (generation, one, receiver, left) in enumerate(asked):
            (error,) = receiver.endings
            assert isinstance(error, Cancelled) if left else error is None
            assert receiver.answers == ([] if left else [expected(one, generation.mark)])
            assert receiver.ids == ([] if left else [str(number)])
        successes = sum(one.metrics.statistics.successes for one in every)
        assert successes == sum(one.metrics.cache_hits + one.metrics.cache_misses for one in every)

    asyncio.run(play())


async def ask(generation: Generation, asked: Asked) -> Kept:
    receiver = Kept()
    generation.submit(asked.request(), receiver)
    await turn()
    generation.compute()
    return receiver


@pytest.mark.parametrize(
    "other",
    [
        Asked(x=(0.0, 1.0), t=(b"aa", b"a")),
        Asked(x=(-0.0, 1.0), t=(b"a", b"aa")),
        Asked(x=(0.0, 1.0), t=(b"a", b"aa"), outputs=("u", "y")),
        Asked(x=(0.0, 1.0, 0.0, 1.0), t=(b"a", b"", b"a", b"a")),
    ],
    ids=["texts cut elsewhere", "another zero", "other outputs", "more rows"],
)
async def test_requests_that_resemble_each_other_are_told_apart(other: Asked) -> None:
    """Where the elements of a text end, the sign of a zero, the order of outputs and the shape make a difference."""
    generation = Generation(ResponseCache(PLENTY), 0)
    for one in (Asked(x=(0.0, 1.0), t=(b"a", b"aa")), other):
        assert [expected(one, 0)] == (await ask(generation, one)).answers

    assert (0, 2) == (generation.metrics.cache_hits, generation.metrics.cache_misses)


async def test_the_one_used_longest_ago_goes_first() -> None:
    """Being asked for counts as use."""
    asked = [Asked(x=(float(number), 0.0), t=(b"", b"")) for number in range(6)]
    sizes = ResponseCache(PLENTY)
    await ask(Generation(sizes, 0), asked[0])
    cache = ResponseCache(sizes.nbytes * 5)
    generation = Generation(cache, 0)
    for one in [*asked[:5], asked[0], asked[5]]:
        await ask(generation, one)
    assert (1, 6, 5) == (generation.metrics.cache_hits, generation.metrics.cache_misses, len(cache))

    for one in [asked[0], *asked[2:]]:
        await ask(generation, one)
    assert (6, 6) == (generation.metrics.cache_hits, generation.metrics.cache_misses)
    await ask(generation, asked[1])
    assert 7 == generation.metrics.cache_misses


async def test_what_would_drive_out_too_many_others_is_not_kept() -> None:
    """An answer over a quarter of the bound is computed each time."""
    one = Asked(x=(1.0, 2.0), t=(b"a", b"b"))
    sizes = ResponseCache(PLENTY)
    await ask(Generation(sizes, 0), one)
    for most, kept in ((sizes.nbytes * LARGEST, 1), (sizes.nbytes * LARGEST - 1, 0)):
        cache = ResponseCache(most)
        generation = Generation(cache, 0)
        for _ in range(2):
            await ask(generation, one)
        assert (kept, kept) == (len(cache), generation.metrics.cache_hits)


async def test_equal_requests_at_the_same_moment_are_both_computed() -> None:
    """Nobody waits for another's answer; one of them is kept."""
    cache = ResponseCache(PLENTY)
    generation, one = Generation(cache, 0), Asked(x=(1.0, 2.0), t=(b"a", b"b"))
    for _ in range(2):
        generation.submit(one.request(), Kept())
    assert 2 == len(generation.waiting)
    generation.compute()

    assert (1, 0, 2) == (len(cache), generation.metrics.cache_hits, generation.metrics.cache_misses)


async def test_what_fails_is_not_kept() -> None:
    """It is computed when it comes again, and counts neither as a hit nor as a miss."""
    cache = ResponseCache(PLENTY)
    generation, receiver = Generation(cache, 0), Kept()
    generation.submit(Asked(x=(1.0, 2.0), t=(b"a", b"b")).request(), receiver).fail(BackendError("no"))

    assert isinstance(receiver.endings[0], BackendError)
    assert (0, 0, 0) == (len(cache), generation.metrics.cache_hits, generation.metrics.cache_misses)


async def test_an_answer_that_cannot_be_handed_on_ends_its_request_alone() -> None:
    """The others of its turn have theirs."""

    class Full(Kept):
        def emit(self, response: InferResponse) -> None:
            raise BackendError("no room")

    generation, one = Generation(ResponseCache(PLENTY), 0), Asked(x=(1.0, 2.0), t=(b"a", b"b"))
    await ask(generation, one)
    full, sound = Full(), Kept()
    for receiver in (full, sound):
        generation.submit(one.request(), receiver)
    await turn()

    assert isinstance(full.endings[0], BackendError)
    assert ([None], 1) == (sound.endings, generation.metrics.cache_hits)


async def test_nobody_can_change_what_is_kept() -> None:
    """Its arrays are copies, and read-only."""
    generation, one = Generation(ResponseCache(PLENTY), 0), Asked(x=(1.0, 2.0), t=(b"a", b"b"))
    await ask(generation, one)

    class Careless(Kept):
        def emit(self, response: InferResponse) -> None:
            for tensor in response.outputs:
                with pytest.raises(ValueError, match="read-only"):
                    tensor.array[...] = 0

    generation.submit(one.request(), Careless())
    await turn()
    assert [expected(one, 0)] == (await ask(generation, one)).answers


@pytest.mark.parametrize("one_waits", [False, True])
async def test_a_closed_generation_keeps_nothing(one_waits: bool) -> None:
    """What it had is forgotten, what it computes later isn't kept, and who was promised an answer gets it."""
    cache = ResponseCache(PLENTY)
    generation, other = Generation(cache, 0), Generation(cache, 1)
    one, promised, late = Asked(x=(1.0, 2.0), t=(b"a", b"b")), Kept(), Kept()
    await ask(generation, one)
    await ask(other, one)
    if one_waits:
        generation.submit(msgspec.structs.replace(one.request(), outputs=("y",)), late)
    generation.submit(one.request(), promised)
    await generation.cache.close()
    await turn()
    generation.compute()

    assert (1, 0) == (len(cache), generation.metrics.cache_bytes)
    assert cache.nbytes == other.metrics.cache_bytes
    assert ([None], [expected(one, 0)]) == (promised.endings, promised.answers)
    assert late.endings == ([None] if one_waits else [])


async def test_no_cache_is_opened_in_vain() -> None:
    """Neither where the server has no room for it, nor for a model that batch-mates disturb."""
    disturbed = ModelMetrics(batch_independent=False)

    assert ResponseCache(0).open(CONFIG, "1", ModelMetrics()) is None
    assert ResponseCache(PLENTY).open(CONFIG, "1", disturbed) is None


async def test_bytes_are_counted_honestly() -> None:
    """What Python takes for thousands of small answers is less than what is counted, and not by far."""
    cache = ResponseCache(1 << 30)
    generation = Generation(cache, 0)
    requests = [Asked(x=(float(number), 0.0), t=(b"text %d" % number, b"")) for number in range(3000)]
    await ask(generation, requests.pop())
    before = cache.nbytes
    tracemalloc.start()
    try:
        for one in requests:
            await ask(generation, one)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < cache.nbytes - before < 2 * taken
    assert ENTRY_BYTES * len(cache) < cache.nbytes
