"""Generations come and go under requests: the catalog, admission, splitting, queue and drains are the real ones."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.artifact.config import parse_config
from service.artifact.signature import Signature, TensorSpec
from service.engine.catalog import Catalog
from service.engine.device import CPU, Devices, Placement
from service.engine.exchange import Exchange
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.station import Station
from service.engine.scheduling.suspicion import KILLS
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.errors import ArtifactError, HoneError
from service.metrics import Metrics, ModelMetrics
from service.repository.folder import ModelFolder, VersionFolder
from tests.engine.doubles import ManualInstance, Recorder, request
from tests.engine.rig import turn

CONFIG = """
backend: "onnxruntime"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 3 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 3 ] }
dynamic_batching { default_queue_policy { max_queue_size: 4 } }
version_policy { latest { num_versions: 2 } }
"""
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", datatype="FP32", dims=("N", 3)),),
    outputs=(TensorSpec(name="y", datatype="FP32", dims=("N", 3)),),
)
PROFILE = LatencyProfile(tuple(BucketTime(rows=rows, median=0.001 * rows, p95=0.001 * rows) for rows in (1, 2, 4)))
ENDINGS = {"backend_error", "crashed_worker", "cancelled", "deadline_exceeded", "worker_lost"}


class HandInstance(ManualInstance):
    """Answers with twice its inputs plus the number of its generation, so that an answer tells who computed it."""

    problem = ""
    number = 0

    def compute(self) -> None:
        self.answer(lambda x: x * 2 + self.number)

    async def stop(self) -> None:
        """A worker that is ended loses what it holds, as a process does."""
        self.die(blameless=True)


class HandLoaded(ServedModel):
    """A served model whose workers are doubles; it loads, or refuses to, when the test says so."""

    def __init__(self, source: ModelSource, devices: Devices, metrics: ModelMetrics, number: int) -> None:
        super().__init__(source, devices, metrics, EngineLimits())
        self.number = number
        self.loading: asyncio.Future[LatencyProfile | None] = asyncio.get_running_loop().create_future()
        self.instances: list[HandInstance] = []
        self.stops = 0

    async def load(self) -> None:
        profile = await self.loading
        self._resolve(self._blueprint.inspection(Placement(device=CPU, threads=1)), SIGNATURE)
        assert self._scheduler
        assert self._batcher
        self.instances = [HandInstance(self._batcher) for _ in range(2)]
        for instance in self.instances:
            instance.number = self.number
        device = self._devices.get(CPU)
        self._scheduler.serve([Station(device, self.instances, name=CPU, tokens=1, profile=profile)])  # type: ignore[arg-type]
        self.metrics.info = {"variant": str(self.number)}

    async def stop(self) -> None:
        self.stops += 1
        await super().stop()


@dataclass(frozen=True)
class Admitted:
    """A request that a generation has taken."""

    model: HandLoaded
    exchange: Exchange
    receiver: Recorder
    values: Sequence[float]


class Play:
    """A catalog with one model, and what is done to it."""

    def __init__(self, path: Path, *, drain_seconds: float, foreseeing: bool) -> None:
        self.devices = Devices(cores=2, gpus=0)
        self.made: list[HandLoaded] = []
        self.admitted: list[Admitted] = []
        self.looks: list[asyncio.Task[None]] = []
        self.serves = False
        self.catalog = Catalog(self._make, Metrics(), at_once=2, drain_seconds=drain_seconds)
        self._path = path / "model.onnx"
        self._path.write_bytes(b"model")
        self._config = parse_config(CONFIG, name="m")
        self._profile = PROFILE if foreseeing else None

    def _make(self, source: ModelSource, metrics: ModelMetrics) -> HandLoaded:
        self.made.append(HandLoaded(source, self.devices, metrics, number=1000 * (len(self.made) + 1)))
        return self.made[-1]

    def folder(self, versions: Sequence[int], edition: int) -> ModelFolder:
        """What a look gives; an edition of its own makes every version a new one."""
        mark = (("model.onnx", edition, 0, 0, 0),)
        found = [VersionFolder(version=version, model_path=self._path, mark=mark) for version in versions]
        return ModelFolder(name="m", path=self._path.parent, versions=tuple(found), config=self._config)

    async def act(self, event: str, number: int) -> None:
        """One event; `number` says which, or how many."""
        if event in ("ask", "ask_urgently", "ask_much", "ask_much_urgently", "ask_of_version"):
            self._ask(event, number)
        elif event == "cancel" and self.admitted:
            self.admitted[number % len(self.admitted)].exchange.cancel()
        elif event == "look":  # the changes of a model come one after the other
            await self._finish_looks()
            versions = range(number % 3 + 1, number % 3 + 1 + number % 2 + 1)
            self.looks.append(asyncio.ensure_future(self._follow(self.folder(versions, number))))
        elif event in ("loaded", "spoilt"):
            self._finish_load(event)
        elif event == "unload":
            await self._finish_looks()
            self.catalog.unload("m", forget=number % 2 == 0)
            self.serves = False
        elif event == "wait":
            await asyncio.sleep(0.006)
        else:
            self._at_workers(event, number)
        assert self.catalog.versions("m") or not self.serves
        self.serves = bool(self.catalog.versions("m"))

    async def _follow(self, folder: ModelFolder) -> None:
        """Bring a folder, and again without what couldn't be loaded."""
        while failed := await self.catalog.bring(folder):
            folder = replace(
                folder,
                versions=tuple(version for version in folder.versions if version.version not in failed),
                refused={**folder.refused, **failed},
                present=folder.present.union(version.version for version in folder.versions),
            )

    def _ask(self, event: str, number: int) -> None:
        rows = number % 10 + 5 if event.startswith("ask_much") else number % 4 + 1
        values = [len(self.admitted) + row / 100 for row in range(rows)]
        seconds = {"ask_urgently": 0.004, "ask_much_urgently": 0.007}.get(event, 60.0)
        asked = request(*values, timeout=seconds)
        version = str(number % 4 + 1) if event == "ask_of_version" else None
        receiver = Recorder()
        try:
            model = self.catalog.find("m", version)
            assert isinstance(model, HandLoaded)
            assert not model.stops
            exchange = model.submit(msgspec.structs.replace(asked, version=version), receiver)
        except HoneError:  # refused at once: nobody is told twice
            assert [] == receiver.endings
            return
        self.admitted.append(Admitted(model, exchange, receiver, values))

    def _finish_load(self, event: str) -> None:
        for model in self.made:
            if not model.loading.done():
                if event == "loaded":
                    model.loading.set_result(self._profile)
                else:
                    model.loading.set_exception(ArtifactError("no good"))
                return

    async def _finish_looks(self) -> None:
        while not all(look.done() for look in self.looks):
            self._finish_load("loaded")
            await turn()

    def _at_workers(self, event: str, number: int) -> None:
        """Something happens to one worker of all that there are."""
        workers = [one for model in self.made if not model.stops for one in model.instances]
        if not workers:
            return
        worker = workers[number % len(workers)]
        if event == "answer" and worker.job:
            worker.compute()
        elif event == "refuse" and worker.job:
            worker.refuse()
        elif event in ("crash", "kill") and worker.ready:
            worker.die(blameless=event == "kill")
        elif event == "revive" and not worker.ready:
            worker.revive()

    async def settle(self) -> None:
        """Load what still loads, revive everybody, and answer until nothing is left."""
        await self._finish_looks()
        until = asyncio.get_running_loop().time() + 30
        while any(len(one.receiver.endings) == 0 for one in self.admitted):
            assert asyncio.get_running_loop().time() < until, "some requests never end"
            for model in self.made:
                for worker in [] if model.stops else model.instances:
                    if not worker.ready:
                        worker.revive()
                    elif worker.job:
                        worker.compute()
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """End it all, whatever is on its way."""
        for look in self.looks:
            look.cancel()
        await asyncio.gather(*self.looks, return_exceptions=True)
        await self.catalog.stop()
        await turn()


WORKERS = ("answer", "answer", "answer", "refuse", "crash", "kill", "revive")
REQUESTS = ("ask", "ask", "ask", "ask_urgently", "ask_much", "ask_much_urgently", "ask_of_version", "cancel")
MODELS = ("look", "look", "loaded", "loaded", "loaded", "spoilt", "unload")
EVENTS = st.lists(
    st.tuples(st.sampled_from((*REQUESTS, *WORKERS, *MODELS, "turn", "wait")), st.integers(0, 59)), max_size=60
)


@settings(max_examples=150)
@given(EVENTS, st.booleans(), st.booleans(), st.booleans())
def test_every_request_ends_exactly_once_under_any_mix_with_reloads(
    events: list[tuple[str, int]], foreseeing: bool, patient: bool, settled: bool
) -> None:
    """Arrivals, deadlines, full queues, cancellations, refusals, deaths, loads that take their time or fail, swaps,
    unloads, drains that are cut short, and a stop in the midst of it: each admitted request ends once, right by the
    generation that admitted it if it is answered, and is lost only to a stop or a drain cut short; that generation
    counted it, and none that it refused, whole or halfway; each stops once, and all tokens come back. What serves goes
    on, or something takes its place, until it is unloaded.
    """
    asyncio.run(play(events, foreseeing=foreseeing, drain_seconds=60.0 if patient else 0.01, settled=settled))


async def play(events: list[tuple[str, int]], *, foreseeing: bool, drain_seconds: float, settled: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scene = Play(Path(folder), drain_seconds=drain_seconds, foreseeing=foreseeing)
        await scene.act("look", 0)
        await scene.act("loaded", 0)
        for event, number in events:
            await scene.act(event, number)
            await turn()
        if settled:
            await scene.settle()
        await scene.stop()

    for one in scene.admitted:
        assert 1 == len(one.receiver.endings)
        (error,) = one.receiver.endings
        assert error is None or error.reason in ENDINGS
        if settled and drain_seconds > 1 and one.exchange.kills < KILLS:
            assert error is None or error.reason != "worker_lost"
        assert (error is None) == bool(one.receiver.answers)
        if error is None:
            right = np.repeat(np.array(one.values, np.float32)[:, None], 3, axis=1) * 2 + one.model.number
            np.testing.assert_array_equal(right, one.receiver.answers[0])
    for model in scene.made:
        ended = [error for one in scene.admitted if one.model is model for error in one.receiver.endings]
        outcomes = Counter(error.outcome if error else "ok" for error in ended)
        assert outcomes == {outcome: count for (_, outcome), count in model.metrics.requests.items()}
        assert 0 == model.metrics.pending()
        assert model._admission is None or 0 == model._admission.live
        assert 1 == model.stops or not model.instances
    device = scene.devices.get(CPU)
    assert device.tokens == device._free
