"""A device that is lost under a model: real workers on two fake devices, of which the fast one goes and comes back."""

import asyncio
import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.engine.device import Device
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.scheduling.station import Station
from service.workers.instance import Instance
from tests.engine.doubles import Recorder
from tests.engine.rig import Rig, ending
from tests.workers.test_instance import QUICK

GPU, CPU = "cuda:0", "cpu"
SECONDS = {GPU: 0.001, CPU: 0.02}


def worker(batcher: DynamicBatcher, device: str, **options: str) -> Instance[Batch]:
    """A worker process that computes y = 2 x in as many seconds as the device takes."""
    plan = Plan(
        backend="fake", path="", device=device, options={"offset": "0", "latency": str(SECONDS[device]), **options}
    )

    def resolve(signature: Signature) -> tuple[Plan, DynamicBatcher]:
        inputs, outputs = (
            tuple(dataclasses.replace(spec, dims=spec.dims[1:]) for spec in specs)
            for specs in (signature.inputs, signature.outputs)
        )
        return msgspec.structs.replace(plan, max_batch_size=4, inputs=inputs, outputs=outputs, slots=2), batcher

    return Instance(plan, resolve, QUICK)


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_a_gpu_that_cannot_be_loaded_any_more_is_down_while_the_cpu_goes_on(tmp_path: Path) -> None:
    """The model stays ready and answers everything, metrics name the device; when it is there again, it is used."""
    gone = tmp_path / "gone"
    rig = Rig()
    gpu, cpu = worker(rig.batcher, GPU, load_fails_while=str(gone)), worker(rig.batcher, CPU)
    await asyncio.gather(gpu.start(), cpu.start())
    rig.batcher.serve(
        [
            Station(
                Device(1),
                [instance],
                name=instance.plan.device,
                tokens=1,
                profile=LatencyProfile([BucketTime(rows=1, median=SECONDS[instance.plan.device], p95=1.0)]),
            )
            for instance in (gpu, cpu)
        ]
    )
    receivers: list[Recorder] = []

    async def answered(count: int) -> None:
        for _ in range(count):
            receivers.append(rig.submit(len(receivers), width=4)[1])
            await asyncio.sleep(0.001)
        await until(lambda: all(receiver.endings for receiver in receivers))

    try:
        await answered(50)
        gone.touch()
        assert gpu.pid
        os.kill(gpu.pid, signal.SIGKILL)
        await answered(50)
        await until(lambda: gpu.failures >= 2)
        assert "gone" in gpu.problem
        assert rig.batcher.ready
        assert {GPU: 0, CPU: 1} == rig.metrics.workers_up
        assert {(GPU, "sigkill"), (GPU, "load_failed")} <= rig.metrics.worker_restarts.keys()

        gone.unlink()
        await until(lambda: gpu.ready)
        given = gpu._sequence
        await answered(50)
        assert {GPU: 1, CPU: 1} == rig.metrics.workers_up
        assert gpu._sequence > given
    finally:
        await rig.batcher.stop()
    assert [None] * len(receivers) == [ending(receiver) for receiver in receivers]
    assert all(receiver.answers[0][0, 0] == 2 * value for value, receiver in enumerate(receivers))
