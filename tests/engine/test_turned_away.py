"""Steps of sequences that are refused before their model has seen them: nobody goes on without them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from msgspec import structs

from service.artifact.config import ModelConfig
from service.engine.engine import Engine
from service.engine.model_control import ModelControl
from service.errors import InvalidRequest, QuotaExceeded
from service.messages import InferRequest, Tensor
from service.trace_file import TraceFile
from service.tracing import TraceControl
from tests.engine.doubles import Recorder
from tests.engine.succession_rig import SuccessionRig, SumModel, settled


def engine_of(rig: SuccessionRig) -> Engine:
    return Engine(
        server_name="hone",
        server_version="0",
        catalog=rig.catalog,
        control=cast("ModelControl", None),
        metrics=rig.metrics,
        traces=TraceControl(TraceFile(Path("nowhere/trace.json"), 1024)),  # never written
    )


def step(x: float, *, model: str = "m", **flags: Any) -> InferRequest:
    return InferRequest(
        model=model,
        version=None,
        inputs=(Tensor(name="x", datatype="FP32", array=np.full((1, 1), x, np.float32)),),
        parameters={"sequence_id": 7, **flags},
    )


async def check(rig: SuccessionRig, engine: Engine, first: Recorder) -> None:
    """What was sent before is answered; what was sent behind is refused."""
    with pytest.raises(InvalidRequest, match="of which a step was refused while others were under way"):
        engine.submit(step(3), Recorder())
    rig.made[0].compute()
    await settled()
    assert [None] == first.endings
    assert 0 == rig.made[0].metrics.sequences()
    await rig.catalog.stop()


async def test_by_the_door(tmp_path: Path) -> None:
    """For all that it has to answer already, say: it is counted where the model's requests are."""
    rig, first = SuccessionRig(tmp_path), Recorder()
    await rig.bring(1)
    engine = engine_of(rig)
    engine.submit(step(1, sequence_start=True), first)
    await settled()
    engine.turn_away(step(2), QuotaExceeded("too many bytes are under way"))
    engine.turn_away(step(2, model="nobody"), QuotaExceeded("too many bytes are under way"))

    assert 1 == rig.made[0].metrics.requests["http", "rejected"]
    await check(rig, engine, first)


async def test_for_classes_that_an_output_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine refuses it before the model."""
    rig, first = SuccessionRig(tmp_path), Recorder()
    await rig.bring(1)
    engine = engine_of(rig)
    engine.submit(step(1, sequence_start=True), first)
    await settled()
    config = rig.made[0].config
    text = replace(config.outputs[0], name="text", datatype="BYTES")

    def with_a_text(_: SumModel) -> ModelConfig:
        return replace(config, outputs=(*config.outputs, text))

    with monkeypatch.context() as patched:
        patched.setattr(SumModel, "config", property(with_a_text))
        with pytest.raises(InvalidRequest, match="only numbers can be classified"):
            engine.submit(structs.replace(step(2), outputs=("text",), classes={"text": 1}), Recorder())
    await check(rig, engine, first)
