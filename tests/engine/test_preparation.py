"""The worker that decodes pictures and texts: a process that may not be started at once, and that may end."""

import asyncio
import os
import resource
import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from service.artifact.card import ToTensor
from service.artifact.signature import TensorSpec
from service.backends.order import Order
from service.engine.preparation import Preparation
from service.engine.transformation import Transformation
from service.errors import DeadlineExceeded, NotReady
from tests.artifact.test_picturing import RGB, file

PICTURE = Transformation(
    model="m",
    medium="picture",
    tensors=(TensorSpec(name="x", datatype="UINT8", dims=(3, -1, -1)),),
    order=msgspec.json.encode(Order(transforms={"x": (ToTensor(layout="CHW", datatype="UINT8"),)})),
    tokenizer=b"",
)


def children() -> set[int]:
    """Process ids of what this thread has started."""
    own = os.getpid()
    return set(map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split()))


async def test_a_worker_that_could_not_be_started_at_first_is_followed_as_any_other() -> None:
    """Where the machine has been out of descriptors for a moment, whoever is started later isn't the last."""
    preparation, others = Preparation(), children()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        with pytest.raises(NotReady, match=r"can be started: .*Too many open files"):
            await preparation.tensors(file(RGB), PICTURE, 20)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(2):
            (made,) = await preparation.tensors(file(RGB), PICTURE, 20)
            np.testing.assert_array_equal(RGB.transpose(2, 0, 1), made)
            (worker,) = children() - others
            os.kill(worker, signal.SIGKILL)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await preparation.stop()


async def test_files_that_end_it_hold_nobody_up_though_their_clients_have_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It isn't the worker's fault: the next one is started at once, and not later each time."""
    preparation, others = Preparation(), children()
    try:
        await preparation.tensors(file(RGB), PICTURE, 20)
        for _ in range(3):
            (worker,) = children() - others
            os.kill(worker, signal.SIGSTOP)
            with pytest.raises(DeadlineExceeded):
                await preparation.tensors(file(RGB), PICTURE, 0.1)
            os.kill(worker, signal.SIGSEGV)
            os.kill(worker, signal.SIGCONT)
            while preparation._instance.pid in (None, worker) or not preparation._instance.idle:
                await asyncio.sleep(0.01)
        assert 0 == preparation._instance.failures
        assert not [record for record in caplog.records if record.name == "asyncio"]
    finally:
        await preparation.stop()
