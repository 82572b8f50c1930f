"""The catalog: generations take each other's place between two requests, and none that answers is given up for less."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.artifact.config import ModelConfig, parse_config
from service.engine.catalog import Catalog
from service.engine.device import Device
from service.engine.exchange import Exchange, Receiver
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.scheduling.station import Station
from service.engine.source import ModelSource
from service.errors import ArtifactError, HoneError, ModelNotFound, NotReady
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import Metrics, ModelMetrics
from service.repository.folder import ModelFolder, VersionFolder
from tests.engine.doubles import ManualInstance, Recorder, request


class DoubleModel:
    """A Servable over a real batcher and one manual instance; it loads, or refuses to, when the test says so."""

    def __init__(self, source: ModelSource, metrics: ModelMetrics) -> None:
        self.name, self.version, self.metrics = source.name, source.version, metrics
        self.source = source
        self.problem = ""
        self.stopped = False
        self.live = 0
        self.loading: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._empty = asyncio.Event()
        policy = BatchingPolicy(
            max_rows=4, join=True, delay=0, max_queued_requests=1000, max_queued_bytes=10**6, shapes_vary=False
        )
        self._batcher = DynamicBatcher(policy, metrics, self._respond, lambda _: None)
        self.instance = ManualInstance(self._batcher)

    @property
    def config(self) -> ModelConfig:
        assert self.source.config
        return self.source.config

    @property
    def ready(self) -> bool:
        return self._batcher.ready

    @property
    def transformation(self) -> None:
        """See `Servable`."""

    def precheck(self, timeout: float | None) -> None:
        self._batcher.precheck(timeout or 60.0, 1.0)

    async def load(self) -> None:
        await self.loading
        self._batcher.serve([Station(Device(8), [self.instance], name="cpu", tokens=1)])  # type: ignore[list-item]
        self.metrics.info = {"variant": self.version}

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        assert not self.stopped
        exchange = Exchange(
            request=request,
            receiver=receiver,
            owner=self,
            inputs=[tensor.array for tensor in request.inputs],
            outputs=(),
            rows=1,
            nbytes=1,
            admitted=asyncio.get_running_loop().time(),
            deadline=float("inf"),
        )
        self._batcher.submit(exchange)
        self.live += 1
        return exchange

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        self.live -= len(exchanges)
        self.metrics.requests["http", "ok" if error is None else error.outcome] += len(exchanges)
        if not self.live:
            self._empty.set()
        for exchange in exchanges:
            if not exchange.started:
                self._batcher.left(exchange)

    @property
    def sequences(self) -> None:
        return None

    async def linger(self, seconds: float) -> None:
        pass

    async def drain(self, seconds: float) -> bool:
        if self.live:
            self._empty.clear()
            await asyncio.wait([asyncio.ensure_future(self._empty.wait())], timeout=seconds)
        return not self.live

    async def stop(self) -> None:
        assert not self.stopped
        self.stopped = True
        await self._batcher.stop()

    def _respond(self, exchange: Exchange, arrays: Any) -> None:
        outputs = (Tensor(name="y", datatype="FP32", array=np.array([float(self.version)], np.float32)),)
        exchange.answer(InferResponse(model=self.name, version=self.version, outputs=outputs, id=""))


class Rig:
    """A catalog whose models the test loads by hand."""

    def __init__(self, path: Path, *, drain_seconds: float = 5.0) -> None:
        self.metrics = Metrics()
        self.made: list[DoubleModel] = []
        self.path = path / "model.onnx"
        self.path.write_bytes(b"model")
        self.catalog = Catalog(self._make, self.metrics, at_once=8, drain_seconds=drain_seconds)

    def _make(self, source: ModelSource, metrics: ModelMetrics) -> DoubleModel:
        self.made.append(DoubleModel(source, metrics))
        return self.made[-1]

    def folder(self, *versions: int, edition: int = 0, **more: Any) -> ModelFolder:
        """What a look at the repository gives; another `edition` has other files."""
        mark = (("model.onnx", edition, 0, 0, 0),)
        found = [VersionFolder(version=version, model_path=self.path, mark=mark) for version in versions]
        return ModelFolder(name="m", path=self.path.parent, versions=tuple(found), **more)

    async def bring(self, folder: ModelFolder, *, bad: str = "") -> dict[int, str]:
        """Bring a folder; everything that it loads is good, or bad for this reason."""
        bringing = asyncio.ensure_future(self.catalog.bring(folder))
        await turns()
        for model in self.made:
            if not model.loading.done():
                if bad:
                    model.loading.set_exception(ArtifactError(bad))
                else:
                    model.loading.set_result(None)
        return await bringing

    async def follow(self, folder: ModelFolder, *, bad: str = "") -> bool:
        """Bring a folder, and again without what couldn't be loaded; whether anything could."""
        if failed := await self.bring(folder, bad=bad):
            again = replace(folder, versions=(), problem=bad, refused=failed, present=frozenset(failed))
            assert {} == await self.bring(again)
        return not failed

    def ask(self, version: str | None = None) -> Recorder:
        """Submit a request."""
        recorder = Recorder()
        self.catalog.find("m", version).submit(request(1.0), recorder)
        return recorder

    def index(self) -> dict[str, tuple[str, str]]:
        """State and reason by version."""
        return {entry.version: (entry.state, entry.reason) for entry in self.catalog.index()}

    def answers(self) -> float:
        """How many requests the metrics of version 1 say were answered."""
        numbers = self.metrics.totals().get(("m", "1"))
        return numbers.requests.get(("http", "ok"), -1) if numbers else -1


async def turns(count: int = 8) -> None:
    """Let the loop do what is due."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    for model in rig.made:
        if not model.loading.done():
            model.loading.cancel()
    await rig.catalog.stop()
    assert all(model.stopped for model in rig.made if model.loading.done() and not model.loading.exception())


async def test_a_new_version_takes_over_when_it_is_ready(rig: Rig) -> None:
    """Until then the old one answers; what that one has admitted it answers still, and then it ends."""
    await rig.bring(rig.folder(1))
    bringing = asyncio.ensure_future(rig.catalog.bring(rig.folder(2)))
    await turns()
    early = rig.ask()
    old, new = rig.made
    assert {"1": ("READY", ""), "2": ("LOADING", "")} == rig.index()
    new.loading.set_result(None)
    assert {} == await bringing
    late = rig.ask()
    await turns()

    assert {"1": ("UNLOADING", ""), "2": ("READY", "")} == rig.index()
    with pytest.raises(ModelNotFound, match='"m" has no version "1"; served: 2'):
        rig.ask("1")  # as when it has left
    new.instance.answer()
    assert [[2.0]] == [answer.tolist() for answer in late.answers]
    assert [False, False] == [model.stopped for model in rig.made]
    old.instance.answer()
    await turns()

    assert [[1.0]] == [answer.tolist() for answer in early.answers]
    assert [True, False] == [model.stopped for model in rig.made]
    assert {"2": ("READY", "")} == rig.index()
    with pytest.raises(ModelNotFound, match='"m" has no version "1"; served: 2'):
        rig.ask("1")


async def test_a_bad_version_changes_nothing(rig: Rig) -> None:
    """It is listed with the reason, and the one before goes on; nothing is let go while something can't be loaded."""
    await rig.bring(rig.folder(1))
    assert {2: "m/2: its golden samples differ"} == await rig.bring(rig.folder(2), bad="its golden samples differ")
    assert {} == await rig.bring(rig.folder(1, refused={2: "m/2: its golden samples differ"}))

    assert {"1": ("READY", ""), "2": ("UNAVAILABLE", "m/2: its golden samples differ")} == rig.index()
    rig.ask()
    await turns()
    rig.made[0].instance.answer()
    with pytest.raises(NotReady, match='version "2" of model "m" could not be loaded; the repository index says why'):
        rig.ask("2")
    assert ("1",) == rig.catalog.versions("m")


async def test_a_version_that_turns_bad_in_place_goes_on_as_it_was(rig: Rig) -> None:
    """The index says READY, and why what is on disk now isn't served; a good edition takes over and clears that."""
    await rig.bring(rig.folder(1))
    await rig.bring(rig.folder(1, edition=1), bad="no good")
    assert {} == await rig.bring(rig.folder(problem="no good", refused={1: "no good"}, present=frozenset({1})))
    assert {"1": ("READY", "no good")} == rig.index()

    await rig.bring(rig.folder(1, edition=2))
    await turns()
    assert {"1": ("READY", "")} == rig.index()
    assert [True, False, False] == [model.stopped for model in rig.made]


async def test_what_has_not_changed_is_not_loaded_again(rig: Rig) -> None:
    """Files and config as they were: nothing happens. One of them differs: a generation more."""
    await rig.bring(rig.folder(1))
    await rig.bring(rig.folder(1))
    assert 1 == len(rig.made)
    await rig.bring(rig.folder(1, edition=1))
    assert 2 == len(rig.made)
    await rig.bring(rig.folder(1, edition=1, config=parse_config("max_batch_size: 2", name="m")))
    assert 3 == len(rig.made)


async def test_a_broken_config_changes_nothing(rig: Rig) -> None:
    """All versions go on, each with the reason, also one that was removed: nothing sound is there in its place."""
    await rig.bring(rig.folder(1, 2))
    await rig.bring(rig.folder(problem="m/config.pbtxt: unknown key", present=frozenset({1})))
    await turns()

    assert dict.fromkeys("12", ("READY", "m/config.pbtxt: unknown key")) == rig.index()
    rig.ask()


async def test_what_could_not_even_be_tried_has_numbers(rig: Rig) -> None:
    """A model whose config is bad, and a version whose card is: who watches sees that they aren't ready, for as long as
    they are listed, and no longer; one that serves keeps its own.
    """

    def ready() -> dict[str, bool]:
        return {version: one.ready for (name, version), one in rig.metrics.totals().items() if name == "m"}

    for _ in range(2):
        await rig.bring(rig.folder(problem="m/config.pbtxt: unknown key"))
        assert {"": False} == ready()
    await rig.bring(rig.folder(1, refused={2: "m/2/card.json: isn't JSON"}, present=frozenset({1, 2})))
    assert ["1", "2"] == sorted(ready())
    await rig.bring(rig.folder(1, problem="m/config.pbtxt: unknown key", present=frozenset({1})))
    await rig.bring(rig.folder(1))
    await turns()
    assert ["1"] == list(ready())


async def test_a_removed_version_goes_on_until_something_sound_takes_its_place(rig: Rig) -> None:
    """Its successor can't be loaded, nor can the next; a good one takes over. With no version left it would go too."""
    await rig.bring(rig.folder(1))
    assert not await rig.follow(rig.folder(2), bad="no good")
    assert {"1": ("READY", ""), "2": ("UNAVAILABLE", "m/2: no good")} == rig.index()
    assert not await rig.follow(rig.folder(3), bad="no good either")
    assert {"1": ("READY", ""), "3": ("UNAVAILABLE", "m/3: no good either")} == rig.index()
    rig.ask()
    assert await rig.follow(rig.folder(4))
    await turns()
    assert {"1": ("UNLOADING", ""), "4": ("READY", "")} == rig.index()

    await rig.bring(rig.folder(problem="m: no version folder"))
    with pytest.raises(ModelNotFound, match="was unloaded"):
        rig.ask()


async def test_versions_answer_side_by_side(rig: Rig) -> None:
    """Without a version the newest answers; when it goes, the next newest does."""
    await rig.bring(rig.folder(1, 3, 2))
    assert "3" == rig.catalog.find("m", None).version
    await rig.bring(rig.folder(1, 2))

    assert ["1", "2"] == list(rig.catalog.versions("m"))
    assert ["2", "2", "1"] == [rig.catalog.find("m", version).version for version in (None, "2", "1")]


async def test_an_unloaded_model_answers_what_it_had_and_can_come_back(rig: Rig) -> None:
    """Nobody finds it any more; the last answer ends it. It can be loaded again while the old one still drains."""
    await rig.bring(rig.folder(1))
    waiting = rig.ask()
    (leaving,) = rig.catalog.unload("m", forget=False)
    with pytest.raises(ModelNotFound, match="was unloaded"):
        rig.ask()
    assert {"1": ("UNLOADING", "")} == rig.index()
    await rig.bring(rig.folder(1))
    again = rig.ask()
    await turns()
    rig.made[1].instance.answer()
    rig.made[0].instance.answer()
    await leaving

    assert [[None], [None]] == [waiting.endings, again.endings]
    assert {"1": ("READY", "")} == rig.index()
    assert [True, False] == [model.stopped for model in rig.made]


async def test_the_index_remembers_what_was_unloaded_unless_it_is_to_forget(rig: Rig) -> None:
    """Who asked for it sees it listed; what vanished from the repository vanishes from the index."""
    await rig.bring(rig.folder(1))
    await asyncio.wait(rig.catalog.unload("m", forget=False))
    assert {"1": ("UNAVAILABLE", "unloaded")} == rig.index()
    rig.catalog.unload("m", forget=True)

    assert {} == rig.index()
    with pytest.raises(ModelNotFound, match='Request for unknown model: "m"'):
        rig.ask()


async def test_a_drain_is_bounded(tmp_path: Path) -> None:
    """What isn't answered in time is failed, once, and the workers end."""
    rig = Rig(tmp_path, drain_seconds=0.05)
    await rig.bring(rig.folder(1))
    never = rig.ask()
    await asyncio.wait(rig.catalog.unload("m", forget=False))

    assert ["worker_lost"] == [error.reason for error in never.endings if error]
    assert rig.made[0].stopped


async def test_a_stop_waits_for_no_drain(rig: Rig) -> None:
    """When the server ends, generations on their way out end with it."""
    await rig.bring(rig.folder(1))
    never = rig.ask()
    await rig.bring(rig.folder(1, edition=1))
    async with asyncio.timeout(2):
        await rig.catalog.stop()

    assert [True, True] == [model.stopped for model in rig.made]
    assert 1 == len(never.endings)
    rig.made.clear()
    rig.catalog = Rig(rig.path.parent).catalog  # so that the fixture finds nothing left to stop


async def test_counters_go_on_over_generations(rig: Rig) -> None:
    """A version's numbers are the sum over its generations, whichever counts; a version that is gone has none."""
    await rig.bring(rig.folder(1))
    rig.ask()
    await turns()
    rig.made[0].instance.answer()
    assert 1 == rig.answers()
    rig.ask()
    await turns()
    await rig.bring(rig.folder(1, edition=1))
    rig.ask()
    await turns()
    rig.made[1].instance.answer()
    assert 2 == rig.answers()
    rig.made[0].instance.answer()
    await turns()
    assert rig.made[0].stopped
    assert 3 == rig.answers()

    rig.catalog.unload("m", forget=True)
    await turns()
    assert -1 == rig.answers()


OPERATIONS = st.lists(
    st.sampled_from(
        ["ask", "ask", "ask", "answer", "refuse", "die", "cancel", "swap", "bad", "new", "new and bad", "unload"]
    ),
    max_size=30,
)


@settings(max_examples=100)
@given(OPERATIONS)
async def test_every_request_ends_exactly_once_whatever_comes_and_goes(operations: list[str]) -> None:
    """Arrivals, cancellations, failures, deaths, swaps, unloads, and swaps that are refused with or without the folder
    of what serves, in any order: each request that was admitted ends once, and none is refused while the model is
    loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), drain_seconds=60)
        version, edition, loaded = 1, 0, True
        await rig.bring(rig.folder(version))
        waiting: list[tuple[Recorder, Exchange]] = []
        for operation in operations:
            if operation == "ask" and loaded:
                recorder = Recorder()
                waiting.append((recorder, rig.catalog.find("m", None).submit(request(1.0), recorder)))
            elif operation == "cancel" and waiting:
                waiting[len(waiting) // 2][1].cancel()
            elif operation in ("swap", "bad", "new", "new and bad"):
                edition += 1
                there = version + operation.startswith("new")
                if await rig.follow(rig.folder(there, edition=edition), bad="bad" if "bad" in operation else ""):
                    version, loaded = there, True
            elif operation == "unload":
                rig.catalog.unload("m", forget=True)
                loaded = False
            else:
                act(rig, operation)
            await turns(3)
        while any(model.live for model in rig.made):
            act(rig, "answer")
            await turns(3)
        await rig.catalog.stop()

        assert {} == {len(recorder.endings): 1 for recorder, _ in waiting if len(recorder.endings) != 1}
        outcomes = Counter(error.reason if error else "ok" for recorder, _ in waiting for error in recorder.endings)
        assert outcomes.keys() <= {"ok", "backend_error", "crashed_worker", "cancelled"}
        assert all(model.stopped for model in rig.made if not model.loading.exception())


def act(rig: Rig, operation: str) -> None:
    """Let every instance that holds a batch answer it, refuse it, or die of it and come back."""
    for model in rig.made:
        if model.instance.job is None:
            continue
        if operation == "answer":
            model.instance.answer()
        elif operation == "refuse":
            model.instance.refuse()
        elif operation == "die":
            model.instance.die()
            model.instance.revive()
