"""One instance of a model: a worker process, and another one whenever it ends."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from numpy.typing import NDArray

from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.errors import ArtifactError
from service.workers import backoff
from service.workers.backoff import Backoff
from service.workers.frames import ATTACHED, NO_SLOT, Frame, FrameError, Kind, view_tensors
from service.workers.listener import InstanceListener
from service.workers.patience import Patience
from service.workers.payloads import Failure, Ready, Timings
from service.workers.planning import Planning
from service.workers.process import WorkerProcess, cause_of
from service.workers.region import Region, slot_bytes
from service.workers.run import Run, lost, move
from service.workers.trial import Trial, TrialFailed, Tried, WorkerEnded
from service.workers.usage import Usage
from service.workers.watchdog import SILENT, Watchdog

ATTEMPTS = 3
STOP_GRACE = 5.0

Job = TypeVar("Job")


class Instance(Generic[Job]):
    """Owns one worker process at a time, its slots and the jobs it holds, and starts the next process when it ends.

    A process that was of use (it answered a job, lived for some time, or was ready and ended from outside) is followed
    at once, and so is one that a job has ended (`excuse`); any other after a back-off that doubles. `resolve` turns the
    signature that the runtime found into the plan to run by and the listener; it may raise ArtifactError.
    """

    def __init__(
        self,
        inspect: Plan,
        resolve: Callable[[Signature], tuple[Plan, InstanceListener[Job]]],
        patience: Patience | None = None,
        name: str = "",
    ) -> None:
        self._log = structlog.get_logger().bind(model=name, device=inspect.device)
        self._patience = patience or Patience()
        self._inspect = msgspec.structs.replace(inspect, beat_seconds=self._patience.beat)
        self._resolve = resolve
        self._listener: InstanceListener[Job] | None = None
        self._process: WorkerProcess | None = None
        self._plan = inspect
        self._plan_number = 0
        self._planning: Planning | None = None
        self._slots: list[Region] = []
        self._free: list[int] = []
        self._runs: dict[int, Run[Job]] = {}
        self._sequence = 0
        self._watchdog = Watchdog(self._patience)
        self._useful = False
        self._verdict = ""  # why we end the process, if it is us
        self._stopping = False
        self._restart: asyncio.Task[None] | None = None
        self.ready = False
        self.runtime = ""
        self._backoff = Backoff()
        self.restarts: dict[str, int] = {}
        self.usage = Usage()
        self.problem = ""

    @property
    def idle(self) -> bool:
        """Whether a job can be given now."""
        return self.ready and bool(self._free) and len(self._runs) < self._plan.in_flight

    @property
    def takes_another(self) -> bool:
        """Whether a job can be given behind the one that it has."""
        return self.ready and bool(self._free) and len(self._runs) == 1

    @property
    def failures(self) -> int:
        """Starts in a row that were of no use."""
        return self._backoff.failures

    @property
    def plan(self) -> Plan:
        """What the worker runs by, resolved once it has started; its `sha256` is that of the file."""
        return self._plan

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the first process and wait until it takes jobs. Raises ArtifactError with what the worker said.

        A process that ends without a word is tried again: it may have been somebody else who ended it.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._launch()
            except WorkerEnded:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(backoff.FIRST * attempt)
            except ArtifactError:
                await self.stop()
                raise
            else:
                return

    def run(self, job: Job, groups: Sequence[Sequence[NDArray[Any]]]) -> None:
        """Give it a job: per input of the plan, the arrays to be joined along the batch axis. Needs a free slot.

        Where it finds no memory, or no descriptors, it raises OSError or MemoryError and hasn't taken the job.
        """
        self._send(job, groups)

    async def attempt(self, inputs: Sequence[NDArray[Any]]) -> Tried:
        """Compute one batch that nobody asked for, before the instance is given jobs. Needs `idle`.

        Raises TrialFailed when the runtime refuses it, WorkerEnded when the process doesn't survive it.
        """
        trial = Trial()
        self._send(trial, [[array] for array in inputs])
        return await trial.done

    def _send(self, job: Job | Trial, groups: Sequence[Sequence[NDArray[Any]]]) -> None:
        process = self._process
        if process is None or not self._free:
            raise RuntimeError("the instance isn't idle")
        number = self._free[-1]
        slot = self._slots[number]
        extents, region, moving = move(slot, self._plan, groups)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        spilled = region is not slot
        frame = Frame(kind=Kind.RUN, sequence=self._sequence, plan=self._plan_number, slot=number, tensors=extents)
        frame.flags = ATTACHED if spilled else 0
        try:
            process.send(frame, [region] if spilled else ())
        finally:
            if spilled:
                region.close()
        self._free.pop()  # only now that it is on its way
        self._runs[self._sequence] = Run(job, number, moving)

    def excuse(self) -> None:
        """Its process has ended because of a job: that, and how it ended before, says nothing against the instance."""
        self._backoff.excuse()

    async def stop(self) -> None:
        """End the process, and start no other. Jobs it still holds are lost."""
        self._stopping = True
        self.ready = False
        if self._restart:
            self._restart.cancel()
        if self._process:
            await self._process.stop(STOP_GRACE)

    # -- starting

    async def _launch(self) -> None:
        self._watchdog, self._useful, self._verdict = Watchdog(self._patience), False, ""
        try:
            process = self._process = WorkerProcess(self, self.usage)
            asyncio.get_running_loop().call_later(self._patience.beat, self._watch, process)
            self._planning = Planning(process, self._patience.load, self._log)
            ready = await self._planning.load(self._inspect, [])
            # Every later process must load this very file.
            self._inspect = msgspec.structs.replace(self._inspect, sha256=ready.sha256)
            self.runtime = ready.runtime
            resolved, listener = self._resolve(ready.signature)
            plan = self._plan = msgspec.structs.replace(resolved, beat_seconds=self._patience.beat, sha256=ready.sha256)
            for _ in range(plan.slots):
                self._slots.append(Region.create(slot_bytes(plan)))
            await self._planning.load(plan, self._slots)
        except (OSError, FrameError) as error:
            raise ArtifactError(f"no worker could be started for the model: {error}") from error
        self.problem, self._free, self.ready = "", list(range(plan.slots)), True
        self._plan_number, self._listener = self._planning.number, listener
        listener.instance_ready(self)

    async def _relaunch(self) -> None:
        await asyncio.sleep(self._backoff.delay)  # asked now that the listener has looked for a job to blame
        try:
            await self._launch()
        except ArtifactError as error:
            self.problem = str(error)
            if not isinstance(error, WorkerEnded):  # that was said when it ended
                self._log.error("worker not restarted yet", reason=self.problem)
            if self._process:
                self._end(self._process, "load_failed")  # `exited` decides when to try again
            elif not isinstance(error, WorkerEnded):
                self._restart_later(useful=False)

    def _watch(self, process: WorkerProcess) -> None:
        """One beat has passed."""
        if process is not self._process:
            return
        watchdog, runs = self._watchdog, self._runs.values()
        verdict = watchdog.beat(runs) if self.ready else watchdog.loading(stopped=process.is_stopped)
        if verdict:
            self._end(process, verdict)
            return
        if watchdog.is_healthy and not self._useful:
            self._useful = True
            self._backoff.succeeded()
        asyncio.get_running_loop().call_later(self._patience.beat, self._watch, process)

    # -- what the process says

    def heard(self, frame: Frame, region: Region | None) -> None:
        """See `ProcessListener`."""
        self._watchdog.heard()
        try:
            if frame.kind is Kind.RESULT:
                self._result(frame, region)
            elif frame.kind is Kind.FAIL:
                self._failed(frame)
            elif frame.kind is Kind.READY:
                if self._planning:
                    self._planning.loaded(msgspec.json.decode(frame.payload, type=Ready))
            elif frame.kind is not Kind.BEAT:
                raise FrameError(f"{frame.kind.name} isn't for the front")
        except msgspec.DecodeError as error:
            raise FrameError(str(error)) from error
        finally:
            if region:
                region.close()

    def exited(self, status: int, *, killed_by_us: bool) -> None:
        """See `ProcessListener`."""
        was_ready, self.ready, self._process = self.ready, False, None
        cause = (self._verdict or "protocol") if killed_by_us else cause_of(status)
        if self._planning:
            self._planning.ended(cause)
        for slot in self._slots:
            slot.close()
        jobs = lost(self._runs.values(), cause)
        self._slots, self._free, self._runs = [], [], {}
        blameless = cause == SILENT or (not killed_by_us and status == -signal.SIGKILL)
        if not self._stopping and self._listener:
            self._log.warning("worker ended", cause=cause, batches_in_flight=len(jobs))
            self.restarts[cause] = self.restarts.get(cause, 0) + 1
            self._restart_later(useful=was_ready and (self._useful or blameless))
        if self._listener:
            self._listener.instance_lost(self, jobs, blameless=blameless)

    def _end(self, process: WorkerProcess, verdict: str) -> None:
        self._verdict = verdict
        process.kill()

    def _restart_later(self, *, useful: bool) -> None:
        self._backoff.ended(useful=useful)
        self._restart = asyncio.get_running_loop().create_task(self._relaunch())

    def _running_for(self) -> InstanceListener[Job]:
        if self._listener is None:
            raise FrameError("an answer from a worker that was given nothing to do")
        return self._listener

    def _result(self, frame: Frame, region: Region | None) -> None:
        run = self._runs.get(frame.sequence)
        if run is None:
            raise FrameError(f"a result for sequence {frame.sequence}, which isn't running")
        memory = (region or self._slots[run.slot]).memory
        outputs = view_tensors(frame.tensors, memory, len(self._plan.outputs))
        timings = Timings.unpack(frame.payload, run.moving)
        del self._runs[frame.sequence]
        self._useful = True
        self._backoff.succeeded()
        try:
            if isinstance(run.job, Trial):
                run.job.succeed(outputs, timings)
            else:
                self._running_for().job_done(self, run.job, outputs, timings)
        finally:
            self._free.append(run.slot)

    def _failed(self, frame: Frame) -> None:
        text = msgspec.json.decode(frame.payload, type=Failure).text
        if self._planning and frame.slot == NO_SLOT and self._planning.refused(text):
            return
        run = self._runs.pop(frame.sequence, None)
        if run is None:
            raise FrameError(f"a failure of sequence {frame.sequence}, which isn't running")
        self._useful = True
        self._backoff.succeeded()
        self._free.append(run.slot)
        if isinstance(run.job, Trial):
            run.job.fail(TrialFailed(text))
        else:
            self._running_for().job_failed(self, run.job, text)
