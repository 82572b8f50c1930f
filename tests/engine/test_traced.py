"""What a trace says about a request, whatever becomes of it."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, cast

import pytest

from service.artifact.config import parse_config
from service.engine.exchange import Exchange, Receiver
from service.engine.servable import Servable
from service.engine.traced import Traced
from service.errors import Cancelled, HoneError, QueueFull
from service.messages import InferRequest, InferResponse
from service.metrics import ModelMetrics
from service.trace_file import TraceFile
from service.tracing import TraceControl, TraceSettings
from tests.engine.doubles import Owner, Recorder, request
from tests.engine.ensemble.doubles import Shelf, config, ensemble, model, step
from tests.engine.ensemble.doubles import request as rows
from tests.engine.rig import Rig

ANSWER = InferResponse(model="m", version="3", outputs=request(1.0).inputs)


class OneModel:
    """Admits requests that it does nothing with; a full one admits none."""

    name, version = "m", "3"
    config = parse_config("", name="m")

    def __init__(self, *, full: bool = False) -> None:
        self.metrics = ModelMetrics()
        self._full = full

    def submit(self, asked: InferRequest, receiver: Receiver) -> Exchange:
        if self._full:
            raise QueueFull("full")
        exchange, _ = Rig().exchange(1.0)
        exchange.request, exchange.receiver, exchange.owner = asked, receiver, _Nobody()
        return exchange


class _Nobody(Owner):
    def ended(self, exchanges: Any, error: HoneError | None) -> None:
        """See `ExchangeOwner`."""


class Traces:
    """A control that traces everything, and what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "trace.json"
        self._control = TraceControl(TraceFile(self._path, 10**6), TraceSettings(level="TIMESTAMPS", rate=1))

    def submit(self, model: Any, asked: InferRequest | None = None) -> tuple[Exchange, Recorder]:
        recorder, trace = Recorder(), self._control.sample("m")
        assert trace
        return Traced(cast("Servable", model), asked or request(1.0), recorder, trace).submit(), recorder

    def names(self) -> list[str]:
        """The moments of the only trace, which are in their order."""
        self._control.close()
        (trace,) = json.loads(self._path.read_bytes())
        moments = trace["timestamps"]
        assert sorted(moment["ns"] for moment in moments) == [moment["ns"] for moment in moments]
        return [moment["name"].removeprefix("HTTP_") for moment in moments]


BEGIN = ["RECV_START", "RECV_END", "REQUEST_START"]
END = ["REQUEST_END", "SEND_START", "SEND_END"]
COMPUTE = ["COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END"]


async def test_an_answer_has_been_computed(tmp_path: Path) -> None:
    """The receiver behind gets what it would have got; a start that was foreseen too late is put right."""
    traces, one = Traces(tmp_path), OneModel()
    exchange, recorder = traces.submit(one)
    await asyncio.sleep(0.01)
    exchange.started = time.monotonic() + 1
    one.metrics.computed(1, 1, (0.001, 0.002, 0.001))
    exchange.answer(ANSWER)

    assert (1, [None]) == (len(recorder.answers), recorder.endings)
    assert [*BEGIN, "QUEUE_START", *COMPUTE, "INFER_RESPONSE_COMPLETE", *END] == traces.names()


async def test_an_answer_that_nobody_computed_says_nothing_of_computing(tmp_path: Path) -> None:
    """The latest batch was another's: it came back before this request was admitted."""
    traces, one = Traces(tmp_path), OneModel()
    one.metrics.computed(1, 1, (0.001, 0.002, 0.001))
    await asyncio.sleep(0.01)
    exchange, _ = traces.submit(one)
    exchange.started = time.monotonic()
    exchange.answer(ANSWER)

    assert [*BEGIN, "QUEUE_START", "INFER_RESPONSE_COMPLETE", *END] == traces.names()


async def test_an_ensemble_computes_nothing_itself(tmp_path: Path) -> None:
    """What its steps took is counted when a request ends: the latest figures are those of another one."""
    only = model("only", lambda x: {"y": x})
    traces, whole = Traces(tmp_path), ensemble(config(step("only", "x=in", "y=out")), Shelf(only))
    whole.submit(rows([1, 2, 3]), Recorder())
    traces.submit(whole, rows([1, 2, 3]))
    for _ in range(2):
        await asyncio.sleep(0.01)
        only.answer()

    assert [*BEGIN, "QUEUE_START", "INFER_RESPONSE_COMPLETE", *END] == traces.names()


async def test_what_ends_badly_is_traced_too(tmp_path: Path) -> None:
    """A request whose client went away, which hears of it as ever."""
    traces = Traces(tmp_path)
    exchange, recorder = traces.submit(OneModel())
    exchange.cancel()

    assert isinstance(recorder.endings[0], Cancelled)
    assert [*BEGIN, "QUEUE_START", *END] == traces.names()


def test_what_is_not_admitted_is_traced_as_far_as_it_came(tmp_path: Path) -> None:
    """The refusal is the model's."""
    traces = Traces(tmp_path)
    with pytest.raises(QueueFull):
        traces.submit(OneModel(full=True))

    assert [*BEGIN, "REQUEST_END"] == traces.names()
