"""A model that another server computes: what passes through, what is refused, and what its faults become."""

import asyncio
import time
from typing import Any

import grpc
import numpy as np
import pytest

from service.datatypes import NUMPY_DTYPES
from service.engine.remote.breaker import FAILURES
from service.engine.scheduling.remote import ATTEMPTS
from service.engine.source import EngineLimits
from service.errors import (
    ArtifactError,
    BackendError,
    DeadlineExceeded,
    HoneError,
    InvalidRequest,
    NotReady,
    QueueFull,
    WorkerLost,
)
from tests.engine.remote.asking import QUICK, ask, loaded, remote_model, same, send, until
from tests.engine.remote.triton import Balancer, SmallTriton, identity, rows, running

SPECIALS = {
    "BF16": [0x7FC1, 0x8000, 0x0001],  # a NaN with a payload, minus zero, a subnormal
    "BOOL": [True, False, True],
    "BYTES": [b"", b"\x00\xff", "größer".encode()],
}


@pytest.mark.parametrize("datatype", NUMPY_DTYPES)
@pytest.mark.parametrize("max_batch_size", [0, 4])
async def test_every_datatype_passes_unchanged(datatype: str, max_batch_size: int) -> None:
    """What a client sends arrives bit by bit, and so does the answer, with a batch axis and without."""
    shape = (-1, 3) if max_batch_size else (2, 3)
    triton = SmallTriton([("x", datatype, shape)], [("y", datatype, shape)], max_batch_size=max_batch_size)
    array = np.array([SPECIALS.get(datatype, [0, 1, 100])] * 2, NUMPY_DTYPES[datatype])
    async with running(triton), loaded(triton.address) as model:
        client = await ask(model, array, datatype=datatype)

        assert datatype == client.outputs["y"].datatype
        assert same(array, client.outputs["y"].array)


async def test_only_the_outputs_asked_for() -> None:
    """The remote is asked for those outputs that the client wants, and no others are answered."""
    specs = [("x", "FP32", (-1, 3)), ("x2", "FP32", (-1, 3))]
    triton = SmallTriton(specs, [("y", "FP32", (-1, 3)), ("y2", "FP32", (-1, 3))], max_batch_size=8)
    async with running(triton), loaded(triton.address) as model:
        client = await ask(model, rows(1), rows(2), outputs=("y2",))

        assert ["y2"] == [output.name for output in triton.asked[0].outputs]
        assert ["y2"] == list(client.outputs)
        assert same(rows(2), client.outputs["y2"].array)


async def test_what_goes_along() -> None:
    """Id, priority and a client's own parameters go along; what concerns our door doesn't."""
    triton = identity()
    async with running(triton), loaded(triton.address) as model:
        parameters = {"timeout": 5, "binary_data_output": True, "mine": "a", "n": -3, "big": 2**63, "f": 0.5, "b": True}
        client = await ask(model, rows(1), id="seven", priority=2, parameters=parameters)

        sent = triton.asked[0].parameters
        assert client.id == triton.asked[0].id == "seven"
        assert {"mine", "n", "big", "f", "b", "priority"} == set(sent)
        assert ("a", -3, 2**63) == (sent["mine"].string_param, sent["n"].int64_param, sent["big"].uint64_param)
        assert (0.5, True, 2) == (sent["f"].double_param, sent["b"].bool_param, sent["priority"].uint64_param)


@pytest.mark.parametrize(
    "config, version", [("", ""), ("version_policy { specific { versions: [ 1 ] } }", "1")], ids=["any", "specific"]
)
async def test_version(config: str, version: str) -> None:
    """The remote chooses the version, unless the configuration asks for specific ones."""
    async with running(identity()) as triton, loaded(triton.address, config) as model:
        await ask(model, rows(1))

        assert version == triton.asked[0].model_version


async def test_large_answers() -> None:
    """Answers may be as large as those of our own models, and no larger."""

    def enlarge(answer: Any) -> None:
        answer.outputs[0].shape[:] = [1, elements]
        answer.raw_output_contents[0] = bytes(4 * elements)

    triton = SmallTriton([("x", "FP32", (-1, 3))], [("y", "FP32", (-1, -1))], max_batch_size=8)
    triton.spoil = enlarge
    limits = EngineLimits(max_output_bytes=8 << 20)
    async with running(triton), loaded(triton.address, limits=limits) as model:
        elements = 2 << 20
        assert (1, elements) == (await ask(model, rows(1))).outputs["y"].array.shape
        elements = 3 << 20
        with pytest.raises(BackendError):
            await ask(model, rows(1))


async def test_config_from_the_remote() -> None:
    """A configuration that names only the remote is completed by it, the batch axis included."""
    triton = identity("UINT8")
    async with running(triton), loaded(triton.address) as model:
        config = model.config

        assert 8 == config.max_batch_size
        assert [("x", "UINT8", (3,))] == [(spec.name, spec.datatype, spec.shape) for spec in config.inputs]
        assert [("y", "UINT8", (3,))] == [(spec.name, spec.datatype, spec.shape) for spec in config.outputs]
        with pytest.raises(InvalidRequest, match="takes 1 to 8"):
            send(model, np.zeros((9, 3), np.uint8), datatype="UINT8")


@pytest.mark.parametrize(
    "config, words",
    [
        ("max_batch_size: 16", "max_batch_size is 16, the remote's model takes 8"),
        ('max_batch_size: 8 input { name: "x" data_type: TYPE_FP16 dims: [ 3 ] }', "says FP16, the model has FP32"),
        ('max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }', r"says shape \[-1, 4\]"),
        ('output { name: "z" data_type: TYPE_FP32 dims: [ -1, 3 ] }', "no such output"),
    ],
)
async def test_config_against_the_remote(config: str, words: str) -> None:
    """A configuration that says otherwise than the remote refuses the model, and names both."""
    async with running(identity()) as triton:
        with pytest.raises(ArtifactError, match=words):
            await remote_model(triton.address, config).load()


@pytest.mark.parametrize("trait", ["model_transaction_policy", "sequence_batching"])
async def test_what_cannot_be_passed_through(trait: str) -> None:
    """Decoupled models and those that keep sequences are refused: one call has one answer, and may be sent twice."""
    async with running(identity()) as triton:
        triton.config.model_transaction_policy.decoupled = trait == "model_transaction_policy"
        if trait == "sequence_batching":
            triton.config.sequence_batching.SetInParent()
        with pytest.raises(ArtifactError, match="can't be passed through"):
            await remote_model(triton.address).load()


async def test_unknown_name() -> None:
    """A remote that the operator hasn't named refuses the model, and says how it would be named."""
    with pytest.raises(ArtifactError, match=r'hone\.remote is "east", which no --remote east=URL names'):
        await remote_model(None).load()


# -- deadlines


async def test_deadline_goes_along() -> None:
    """The remote is told how much time is left, and the client hears of the deadline when it passes."""
    triton = identity()
    triton.gate.clear()
    async with running(triton), loaded(triton.address) as model:
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await ask(model, rows(1), timeout=0.2)

        assert 0.15 < time.monotonic() - began < 2
        assert 0 < triton.remaining[0] < 0.3  # rounded on its way
        await until(lambda: triton.cancelled == 1)
        assert 0 == model.metrics.pending()


@pytest.mark.parametrize("honoured", [False, True])
async def test_timeout_parameter(*, honoured: bool) -> None:
    """Triton's own `timeout`, in microseconds, is sent where the remote's queue policy lets requests shorten theirs."""
    triton = identity()
    policy = triton.config.dynamic_batching.default_queue_policy
    policy.default_timeout_microseconds, policy.allow_timeout_override = 1_000_000, honoured
    async with running(triton), loaded(triton.address) as model:
        await ask(model, rows(1), timeout=5.0)

        assert honoured is (0 < triton.asked[0].parameters["timeout"].int64_param <= 5_000_000)


async def test_client_that_leaves() -> None:
    """The remote's call is cancelled as soon as the client is gone."""
    triton = identity()
    triton.gate.clear()
    async with running(triton), loaded(triton.address) as model:
        client, exchange = send(model, rows(1))
        await until(lambda: len(triton.asked) == 1)
        exchange.cancel()

        await until(lambda: triton.cancelled == 1)
        assert "cancelled" == getattr(client.endings[0], "reason", None)
        assert 0 == model.metrics.pending()
        assert await model.drain(0)


@pytest.mark.parametrize(
    "config, limits",
    [
        ("", EngineLimits(max_queued_requests=2)),
        ("", EngineLimits(max_queued_bytes=24)),
        ("dynamic_batching { default_queue_policy { max_queue_size: 2 } }", EngineLimits()),
    ],
)
async def test_bounded(config: str, limits: EngineLimits) -> None:
    """What is under way is bounded in requests and bytes, by the configuration's own number first."""
    triton = identity()
    triton.gate.clear()
    async with running(triton), loaded(triton.address, config, limits=limits) as model:
        waiting = [send(model, rows(value))[0] for value in (1, 2)]
        with pytest.raises(QueueFull):
            send(model, rows(3))
        triton.gate.set()

        assert [None, None] == [await client.ending() for client in waiting]
        await ask(model, rows(4))


# -- faults


async def test_unavailable_is_tried_again() -> None:
    """A remote that declines is asked again after a pause, and the client sees nothing of it."""
    triton = identity()
    triton.outage, triton.outages = (grpc.StatusCode.UNAVAILABLE, "queue is full"), 2
    async with running(triton), loaded(triton.address) as model:
        await ask(model, rows(1))

        assert 3 == len(triton.asked)
        assert {("http", "ok"): 1} == dict(model.metrics.requests)
        assert 1 == model.metrics.executions


async def test_never_beyond_the_deadline() -> None:
    """A pause that would outlast the deadline isn't begun: the client hears at once why."""
    triton = identity()
    triton.outage = (grpc.StatusCode.UNAVAILABLE, "queue is full")
    async with running(triton), loaded(triton.address) as model:
        with pytest.raises(NotReady, match="queue is full"):
            await ask(model, rows(1), timeout=0.02)

        assert 1 == len(triton.asked)


async def test_retries_are_few() -> None:
    """In an outage, retries come to a tenth of the requests and a small reserve."""
    triton = identity()
    triton.outage = (grpc.StatusCode.UNAVAILABLE, "queue is full")
    async with running(triton), loaded(triton.address) as model:
        clients = [send(model, rows(1))[0] for _ in range(200)]
        endings = [await client.ending() for client in clients]

        assert {NotReady} == {type(ending) for ending in endings}
        assert 200 < len(triton.asked) <= 200 + 20 + 10


@pytest.mark.parametrize(
    "status, kind",
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequest),
        (grpc.StatusCode.DEADLINE_EXCEEDED, DeadlineExceeded),
        (grpc.StatusCode.NOT_FOUND, NotReady),
        (grpc.StatusCode.INTERNAL, BackendError),
        (grpc.StatusCode.UNKNOWN, BackendError),
        (grpc.StatusCode.CANCELLED, BackendError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, BackendError),
    ],
)
async def test_errors(status: grpc.StatusCode, kind: type[HoneError]) -> None:
    """An error of the remote becomes one of ours, with its text and without its addresses, and isn't tried again
    where the remote has looked at the request.
    """
    triton = identity()
    triton.outage = (status, "x must be positive (at ipv4:10.1.2.3:8001)")
    async with running(triton), loaded(triton.address) as model:
        with pytest.raises(kind) as caught:
            await ask(model, rows(1))

        assert "10.1.2.3" not in str(caught.value)
        if kind is not DeadlineExceeded:
            assert "x must be positive" in str(caught.value)
        if kind is not NotReady:
            assert 1 == len(triton.asked)


def _nothing(answer: Any) -> None:
    del answer.outputs[:], answer.raw_output_contents[:]


def _other_type(answer: Any) -> None:
    answer.outputs[0].datatype = "INT32"


def _other_rows(answer: Any) -> None:
    answer.outputs[0].shape[:] = [2, 3]
    answer.raw_output_contents[0] *= 2


def _cut(answer: Any) -> None:
    answer.raw_output_contents[0] = answer.raw_output_contents[0][:-1]


def _no_bytes(answer: Any) -> None:
    del answer.raw_output_contents[:]


def _negative(answer: Any) -> None:
    answer.outputs[0].shape[:] = [-1, -3]


@pytest.mark.parametrize("spoil", [_nothing, _other_type, _other_rows, _cut, _no_bytes, _negative])
async def test_answers_that_break_their_word(spoil: Any) -> None:
    """An answer that isn't what the remote's own metadata promise is an error, never handed on."""
    triton = identity()
    triton.spoil = spoil
    async with running(triton), loaded(triton.address) as model:
        with pytest.raises(BackendError, match="remote"):
            await ask(model, rows(1))
        triton.spoil = None

        await ask(model, rows(1))


async def test_lost_under_way() -> None:
    """A request whose connection ends under it isn't sent again: it may have been computed, or be the reason."""
    triton = identity()
    triton.gate.clear()
    async with running(triton), loaded(triton.address) as model:
        client, _ = send(model, rows(1))
        await until(lambda: len(triton.asked) == 1)
        await triton.stop()

        assert WorkerLost is type(await client.ending())
        assert 1 == len(triton.asked)


async def test_lost_behind_a_balancer() -> None:
    """Where the connection is back at once a lost request can't be told from a declined one. It may be sent again, as
    a read may, but not for ever: the client hears within a few attempts, and the next one is served.
    """
    async with running(identity()) as triton, Balancer(triton) as balancer, loaded(balancer.address) as model:
        triton.gate.clear()
        client, _ = send(model, rows(1))
        for attempt in range(1, ATTEMPTS + 1):
            await until(lambda: len(triton.asked) == attempt or bool(client.endings))  # noqa: B023
            balancer.cut()

        assert isinstance(await client.ending(), WorkerLost | NotReady)
        assert len(triton.asked) <= ATTEMPTS
        triton.gate.set()
        await ask(model, rows(2))


async def test_restart_within_the_deadline() -> None:
    """A request that can't be sent because the remote restarts waits for it, within its deadline and its attempts."""
    async with running(identity()) as triton, loaded(triton.address) as model:
        await triton.stop()
        client, _ = send(model, rows(1))
        await triton.start()

        assert None is await client.ending()


# -- health


async def test_breaker() -> None:
    """Connection failures in a row make the model not ready; a remote that is back is tried with one request first."""
    async with running(identity()) as triton, loaded(triton.address, patience=QUICK) as model:
        await triton.stop()
        clients = [send(model, rows(1))[0] for _ in range(FAILURES)]
        # One that was being sent as the connection ended may have been computed: that is another word.
        assert {type(await client.ending()) for client in clients} <= {NotReady, WorkerLost}
        with pytest.raises(NotReady):
            send(model, rows(1))
        assert (False, False) == (model.ready, model.metrics.ready)
        assert "can't be reached" in model.problem

        triton.gate.clear()
        await triton.start()
        await until(lambda: model.ready)
        trial, _ = send(model, rows(1))
        with pytest.raises(NotReady, match="one request first"):
            send(model, rows(2))
        triton.gate.set()
        assert None is await trial.ending()
        await ask(model, rows(3))
        assert model.metrics.ready
        assert "" == model.problem


async def test_death_is_noticed_without_requests() -> None:
    """A remote that ends while nobody asks is found out by probes; so is one that comes back."""
    async with running(identity()) as triton, loaded(triton.address, patience=QUICK) as model:
        await triton.stop()
        await until(lambda: not model.ready)
        await triton.start()
        await until(lambda: model.ready)

        await ask(model, rows(1))


async def test_unloaded_at_the_remote() -> None:
    """A model that the remote itself calls not ready isn't ready here either, at the first probe."""
    async with running(identity()) as triton, loaded(triton.address, patience=QUICK) as model:
        triton.ready = False
        await until(lambda: not model.ready)

        assert 'model "m" isn\'t ready at the remote server' == model.problem


async def test_down_at_load() -> None:
    """A remote that is down at load leaves the model listed with the reason; it serves once the remote is there."""
    triton = identity()
    async with loaded(triton.address, patience=QUICK) as model:
        assert "can't be reached" in model.problem
        with pytest.raises(NotReady, match="can't be reached"):
            send(model, rows(1))
        with pytest.raises(NotReady, match="can't be reached"):
            _ = model.config

        async with running(triton):
            await until(lambda: model.ready)
            await ask(model, rows(1))


async def test_back_with_other_tensors() -> None:
    """A remote that comes back with another model is served as it is now, unless the configuration says otherwise."""
    written = 'max_batch_size: 8 input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }'
    async with (
        running(identity()) as triton,
        loaded(triton.address, patience=QUICK) as free,
        loaded(triton.address, written, patience=QUICK) as bound,
    ):
        triton.ready = False
        await until(lambda: not free.ready and not bound.ready)
        triton.inputs, triton.outputs, triton.ready = [("x", "INT8", (-1, 3))], [("y", "INT8", (-1, 3))], True
        await until(lambda: free.ready)

        await ask(free, np.zeros((1, 3), np.int8), datatype="INT8")
        await until(lambda: "says FP32, the model has INT8" in bound.problem)
        assert not bound.ready


async def test_stop_ends_what_waits() -> None:
    """Stopping fails what is still at the remote, and leaves nothing running."""
    triton = identity()
    triton.gate.clear()
    async with running(triton):
        async with loaded(triton.address) as model:
            client, _ = send(model, rows(1))
            await until(lambda: len(triton.asked) == 1)

        assert WorkerLost is type(await client.ending())
        await asyncio.sleep(0)
        assert {asyncio.current_task()} >= {task for task in asyncio.all_tasks() if "Remote" in repr(task.get_coro())}


async def test_metrics() -> None:
    """The instruments are those of every model: rows, executions, the call's time as the phase `infer`."""
    async with running(identity()) as triton, loaded(triton.address) as model:
        await ask(model, rows(1, 2, 3))

        metrics = model.metrics
        assert (3, 1, 0) == (metrics.inferences, metrics.executions, metrics.pending())
        assert 3 == metrics.batch_size.total
        assert 0 < metrics.compute_duration["infer"].total <= metrics.request_duration["http"].total
        assert 1 == sum(metrics.queue_duration.counts)
        assert "remote" == metrics.info["backend"]
        assert (True, {"remote": 1}) == (metrics.ready, metrics.workers_up)


async def test_calls_are_counted_by_how_they_end() -> None:
    """Each attempt, so that what was sent again can be told from what was sent."""
    triton = identity()
    async with running(triton), loaded(triton.address) as model:
        triton.outage, triton.outages = (grpc.StatusCode.UNAVAILABLE, "queue is full"), 2
        await ask(model, rows(1))
        triton.outage = (grpc.StatusCode.INTERNAL, "no")
        triton.outages = 1
        with pytest.raises(BackendError):
            await ask(model, rows(1))
        triton.gate.clear()
        with pytest.raises(DeadlineExceeded):
            await ask(model, rows(1), timeout=0.1)
        calls = model.metrics.remote_calls

        assert (1, 2, 1) == (calls["ok"], calls["declined"], calls["refused"])
        assert 1 == calls["abandoned"] + calls["late"]
