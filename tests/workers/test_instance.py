"""Worker instances: real processes around a backend whose latency and failures are programmed."""

import asyncio
import dataclasses
import errno
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pytest
import structlog
from numpy.typing import NDArray

from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.errors import ArtifactError
from service.workers.instance import Instance
from service.workers.patience import Patience
from service.workers.payloads import Timings
from service.workers.region import Region
from tests.descriptors import held_open

QUICK = Patience(load=10.0, batch=60.0, beat=0.05)


class Recorder:
    """An InstanceListener that writes down what it is told."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def instance_ready(self, instance: Instance[str]) -> None:
        self.events.put_nowait(("ready", None))

    def job_done(self, instance: Instance[str], job: str, outputs: Sequence[NDArray[Any]], timings: Timings) -> None:
        self.events.put_nowait(("done", (job, [output.copy() for output in outputs], timings)))

    def job_failed(self, instance: Instance[str], job: str, text: str) -> None:
        self.events.put_nowait(("failed", (job, text)))

    def instance_lost(self, instance: Instance[str], jobs: Sequence[str], *, blameless: bool) -> None:
        self.events.put_nowait(("lost", (list(jobs), blameless)))

    async def next(self, kind: str) -> Any:
        """The next event, which must be of this kind."""
        found, what = await asyncio.wait_for(self.events.get(), 10)
        assert kind == found, (kind, found, what)
        return what


class Rig:
    """An instance with its recorder."""

    def __init__(
        self,
        patience: Patience = QUICK,
        slots: int = 1,
        warm: tuple[int, ...] = (),
        *,
        graphs: bool = False,
        **options: str,
    ) -> None:
        self.recorder = Recorder()
        self._slots = slots
        self._warm = warm
        plan = Plan(backend="fake", path="", options=options, cuda_graphs=graphs)
        self.instance: Instance[str] = Instance(plan, self.resolve(plan), patience)

    def resolve(self, plan: Plan) -> Any:
        def resolved(signature: Signature) -> tuple[Plan, Recorder]:
            inputs, outputs = (
                tuple(dataclasses.replace(spec, dims=spec.dims[1:]) for spec in specs)
                for specs in (signature.inputs, signature.outputs)
            )
            full = msgspec.structs.replace(plan, max_batch_size=8, inputs=inputs, outputs=outputs, slots=self._slots)
            return msgspec.structs.replace(full, warm_batches=self._warm), self.recorder

        return resolved

    async def __aenter__(self) -> Self:
        await self.instance.start()
        await self.recorder.next("ready")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.instance.stop()


def rows(*values: float) -> NDArray[np.float32]:
    return np.repeat(np.array(values, np.float32)[:, None], 4, axis=1)


async def test_a_job_comes_back_with_its_outputs_and_timings() -> None:
    """Rows of several requests go in by one frame; outputs and the time they took come back."""
    async with Rig(scale="3", offset="1") as rig:
        rig.instance.run("job", [[rows(1), rows(2, 5)]])
        assert not rig.instance.idle

        job, (y,), timings = await rig.recorder.next("done")

        assert "job" == job
        np.testing.assert_array_equal(rows(4, 7, 16), y)
        assert timings.infer > 0
        assert rig.instance.idle


async def test_what_does_not_fit_the_slot_travels_in_memory_of_its_own() -> None:
    """A batch far beyond the slot goes and comes back whole, and leaves no descriptor behind."""
    async with Rig() as rig:
        many = rows(*range(20_000))
        rig.instance.run("warm", [[rows(1)]])
        await rig.recorder.next("done")
        before = held_open()

        for _ in range(3):
            rig.instance.run("large", [[many]])
            _, (y,), _ = await rig.recorder.next("done")
            np.testing.assert_array_equal(many * 2 + 1, y)

        assert before == held_open()
        rig.instance.run("small again", [[rows(1)]])
        await rig.recorder.next("done")


@pytest.mark.parametrize("where", ["service.workers.region.Region.create", "service.workers.wire.send"])
async def test_a_batch_that_finds_no_memory_costs_no_slot(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Whether its memory can't be had or can't be sent: no job is taken, and the next finds slots and descriptors."""
    async with Rig(slots=2) as rig:
        before = held_open()
        for _ in range(3):
            with monkeypatch.context() as patch:
                patch.setattr(where, out_of_descriptors)
                with pytest.raises(OSError, match="open files"):
                    rig.instance.run("large", [[rows(*range(20_000))]])
        assert rig.instance.idle
        assert before == held_open()

        rig.instance.run("first", [[rows(1)]])
        assert rig.instance.takes_another
        assert "first" == (await rig.recorder.next("done"))[0]


def out_of_descriptors(*args: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


async def test_slots_that_cannot_all_be_made_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance isn't started, says why, and keeps nothing."""
    async with Rig():
        pass
    create = Region.create
    sizes: list[int] = []

    def only_one(size: int) -> Region:
        sizes.append(size)
        if len(sizes) > 1:
            out_of_descriptors()
        return create(size)

    rig = Rig(slots=2)
    before = held_open()
    monkeypatch.setattr(Region, "create", only_one)
    with pytest.raises(ArtifactError, match="Too many open files"):
        await rig.instance.start()

    assert rig.instance.pid is None
    assert before == held_open()


async def test_a_refused_batch_leaves_the_worker_alive() -> None:
    """The runtime's error comes back as text, and the same process computes the next batch."""
    async with Rig(fail_on="13") as rig:
        pid = rig.instance.pid
        rig.instance.run("bad", [[rows(13)]])
        job, text = await rig.recorder.next("failed")
        rig.instance.run("good", [[rows(1)]])
        await rig.recorder.next("done")

        assert ("bad", pid) == (job, rig.instance.pid)
        assert "told to fail" in text


async def test_a_device_that_fails_for_good_ends_the_worker() -> None:
    """Another process may be able to use it again; the batch counts as what did it, and the cause is named."""
    async with Rig(fault_on="13") as rig:
        rig.instance.run("bad", [[rows(13)]])

        assert (["bad"], False) == await rig.recorder.next("lost")
        await rig.recorder.next("ready")
        assert {"device_fault": 1} == rig.instance.restarts


async def test_a_worker_is_as_polite_as_its_plan_says() -> None:
    """Its niceness is the server's and what the plan adds, for threads that start later too."""
    plan = Plan(backend="fake", path="", nice=3)
    rig = Rig()
    rig.instance = Instance(plan, rig.resolve(plan), QUICK)
    async with rig:
        pid = rig.instance.pid
        assert pid
        threads = [int(thread) for thread in os.listdir(f"/proc/{pid}/task")]

        expected = min(os.getpriority(os.PRIO_PROCESS, 0) + 3, 19)
        assert expected == os.getpriority(os.PRIO_PROCESS, pid)
        # numpy's threads are older than the plan, and have nothing to do
        assert [os.getpriority(os.PRIO_PROCESS, thread) for thread in threads].count(expected) >= 2


@pytest.mark.parametrize(
    "number, blameless", [(signal.SIGKILL, True), (signal.SIGSEGV, False), (signal.SIGTERM, False)]
)
async def test_a_dead_worker_gives_its_jobs_back_and_is_replaced(number: int, blameless: bool) -> None:
    """Whoever waits hears of it, is told whether its job is to blame, and a new process takes over."""
    async with Rig(latency="0.2") as rig:
        pid = rig.instance.pid
        assert pid
        rig.instance.run("job", [[rows(1)]])
        os.kill(pid, number)

        assert (["job"], blameless) == await rig.recorder.next("lost")
        assert not rig.instance.idle
        await rig.recorder.next("ready")
        rig.instance.run("next", [[rows(1)]])
        await rig.recorder.next("done")
        assert pid != rig.instance.pid


async def test_a_stopped_worker_is_found_by_its_missing_heartbeat() -> None:
    """SIGSTOP freezes it, heartbeats stop, and it is replaced within a few of them."""
    async with Rig() as rig:
        assert rig.instance.pid
        os.kill(rig.instance.pid, signal.SIGSTOP)

        jobs, blameless = await asyncio.wait_for(rig.recorder.next("lost"), 2)

        assert ([], True) == (jobs, blameless)
        await rig.recorder.next("ready")
        assert {"silent": 1} == rig.instance.restarts


@pytest.mark.parametrize("after", [0.0, 0.5])
async def test_a_worker_that_is_stopped_while_it_starts_is_replaced(after: float) -> None:
    """It says nothing then in any case, but that it is stopped is known: in its first moments, and while it loads."""
    async with Rig(load_latency="0.6") as rig:
        old = rig.instance.pid
        assert old
        os.kill(old, signal.SIGKILL)
        await rig.recorder.next("lost")
        while rig.instance.pid is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(after)
        assert not rig.instance.ready
        os.kill(rig.instance.pid, signal.SIGSTOP)

        assert ([], True) == await asyncio.wait_for(rig.recorder.next("lost"), 3)
        await rig.recorder.next("ready")
        assert {"sigkill": 1, "silent": 1} == rig.instance.restarts


async def test_the_first_worker_is_replaced_too_if_it_is_stopped() -> None:
    """Before there is anybody to tell."""
    rig = Rig(load_latency="0.5")
    starting = asyncio.create_task(rig.instance.start())
    while rig.instance.pid is None:
        await asyncio.sleep(0.01)
    stopped = rig.instance.pid
    os.kill(stopped, signal.SIGSTOP)

    await asyncio.wait_for(starting, 10)

    assert stopped != rig.instance.pid
    await rig.instance.stop()


async def test_a_slow_load_is_not_taken_for_silence() -> None:
    """A process that loads for many beats and says nothing all the while is left alone, stopped for a moment or not."""
    rig = Rig(Patience(load=10.0, beat=0.02), load_latency="1.5")
    starting = asyncio.create_task(rig.instance.start())
    await asyncio.sleep(0.5)
    pid = rig.instance.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGCONT)

    await asyncio.wait_for(starting, 10)

    assert pid == rig.instance.pid
    await rig.instance.stop()


async def test_a_batch_that_never_ends_is_ended() -> None:
    """A worker whose heart beats but whose batch takes longer than allowed is replaced."""
    async with Rig(Patience(load=10, batch=0.3, beat=0.05), hang_on="7") as rig:
        rig.instance.run("stuck", [[rows(7)]])

        jobs, blameless = await rig.recorder.next("lost")

        assert (["stuck"], False) == (jobs, blameless)
        await rig.recorder.next("ready")


async def test_a_model_that_does_not_load_says_why() -> None:
    """The runtime's reason reaches whoever starts the instance, and no process is left."""
    rig = Rig(load_fails="not a model")

    with pytest.raises(ArtifactError, match="not a model"):
        await rig.instance.start()

    assert rig.instance.pid is None


async def test_a_model_that_refuses_zeros_is_ready() -> None:
    """Nobody sent them: the log says that they were made up and what the runtime said, and others are computed."""
    structlog.reset_defaults()  # a command line that ran before may have silenced the log
    with structlog.testing.capture_logs() as lines:
        async with Rig(warm=(1, 8), fail_on="0") as rig:
            rig.instance.run("job", [[rows(1)]])
            await rig.recorder.next("done")
    (line,) = lines

    assert "Hone made them up" in line["event"]
    assert "told to fail" in line["reason"]


async def test_zeros_that_end_the_worker_are_a_reason_against_the_model() -> None:
    """Whatever they hold, no input may do that."""
    rig = Rig(warm=(1,), exit_on="0")

    with pytest.raises(ArtifactError, match="sigsegv"):
        await asyncio.wait_for(rig.instance.start(), 20)


async def test_zeros_that_are_to_record_a_graph_must_be_taken() -> None:
    """Without a graph the model can't serve as it was asked to."""
    rig = Rig(warm=(1,), graphs=True, fail_on="0")

    with pytest.raises(ArtifactError, match="told to fail"):
        await rig.instance.start()


async def test_a_model_that_ends_its_worker_at_every_load_is_reported() -> None:
    """A load that crashes is tried a few times, then it is an error with the signal's name."""
    rig = Rig(load_crashes="yes")

    with pytest.raises(ArtifactError, match="sigsegv"):
        await asyncio.wait_for(rig.instance.start(), 20)

    assert rig.instance.pid is None


async def test_a_worker_that_is_killed_while_it_loads_is_started_again() -> None:
    """Somebody else's kill during the first load isn't the end of the model."""
    rig = Rig(load_latency="0.3")
    starting = asyncio.create_task(rig.instance.start())
    while rig.instance.pid is None:
        await asyncio.sleep(0.01)
    os.kill(rig.instance.pid, signal.SIGKILL)

    await asyncio.wait_for(starting, 10)

    assert rig.instance.idle
    await rig.instance.stop()


async def test_a_load_that_takes_too_long_is_given_up() -> None:
    """The load timeout ends the process."""
    rig = Rig(Patience(load=0.5, beat=0.05), load_latency="30")

    with pytest.raises(ArtifactError, match=r"within 0\.5 s"):
        await rig.instance.start()

    assert rig.instance.pid is None


async def test_restarts_back_off_only_after_useless_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that crashes unused is followed later each time; one that answered, or was killed, at once."""
    monkeypatch.setattr("service.workers.backoff.FIRST", 0.01)
    async with Rig() as rig:
        for _ in range(3):
            assert rig.instance.pid
            os.kill(rig.instance.pid, signal.SIGSEGV)
            await rig.recorder.next("lost")
            await rig.recorder.next("ready")
        assert 3 == rig.instance.failures

        rig.instance.run("job", [[rows(1)]])
        await rig.recorder.next("done")

        assert 0 == rig.instance.failures
        for _ in range(2):
            assert rig.instance.pid
            os.kill(rig.instance.pid, signal.SIGKILL)
            await rig.recorder.next("lost")
            await rig.recorder.next("ready")
        assert 0 == rig.instance.failures
        assert {"sigsegv": 3, "sigkill": 2} == rig.instance.restarts


async def test_stopping_leaves_no_process_and_no_descriptor() -> None:
    """After stop the process is reaped, and every descriptor it took is closed."""
    async with Rig():
        pass
    before = held_open()
    for _ in range(3):
        async with Rig() as rig:
            pid = rig.instance.pid
            assert pid
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    assert before == held_open()


async def test_a_worker_sees_no_secret_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only variables that programs and libraries need are passed on."""
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")
    async with Rig() as rig:
        environment = Path(f"/proc/{rig.instance.pid}/environ").read_bytes()

    assert b"hunter2" not in environment
    assert b"PATH=" in environment
