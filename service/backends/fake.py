"""A backend without a runtime, whose latency and failures are programmed: what tests and drills use instead of mocks.

It takes FP32 rows `x` of shape [n, width] and answers `y` = x * scale + offset. A model repository can't ask for it,
only a plan can. Options, all strings: `width` (4), `scale` (2), `offset` (1); `latency` and `latency_per_row` (0 s);
`load_latency` (0 s), `load_fails` (a text), `load_fails_while` (a path: as long as there is a file), `load_crashes`
(anything); and four trigger values. When any element of
a batch equals `fail_on` the batch is refused, on `fault_on` the device fails for good, on `exit_on` the process dies as
by a native crash, on `hang_on` it never answers.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import Signature, TensorSpec
from service.backends.backend import DeviceFault, LoadError, RunError
from service.backends.plan import Plan


class FakeBackend:
    """Owns nothing but its options."""

    def __init__(self, plan: Plan) -> None:
        options = plan.options
        time.sleep(float(options.get("load_latency", "0")))
        if "load_crashes" in options:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "load_fails" in options:
            raise LoadError(options["load_fails"])
        if "load_fails_while" in options and Path(options["load_fails_while"]).exists():
            raise LoadError("the device that was told to be gone is gone")
        self._scale = np.float32(options.get("scale", "2"))
        self._offset = np.float32(options.get("offset", "1"))
        self._latency = float(options.get("latency", "0"))
        self._per_row = float(options.get("latency_per_row", "0"))
        triggers = ("fail_on", "fault_on", "exit_on", "hang_on")
        self._triggers = {name: float(options[name]) for name in triggers if name in options}
        dims = ("batch", int(options.get("width", "4")))
        self._signature = Signature(
            inputs=(TensorSpec(name="x", datatype="FP32", dims=dims),),
            outputs=(TensorSpec(name="y", datatype="FP32", dims=dims),),
        )

    @property
    def signature(self) -> Signature:
        """See `Backend`."""
        return self._signature

    @property
    def runtime(self) -> str:
        """See `Backend`."""
        return "fake"

    def adopt(self, memory: memoryview) -> None:
        """See `Backend`: nothing to do."""

    def bind(
        self,
        names: Sequence[str],
        inputs: Sequence[NDArray[Any]],
        output_names: Sequence[str],
        outputs: Sequence[NDArray[Any]],
    ) -> None:
        """See `Backend`: not to be had here."""
        del names, inputs, output_names, outputs

    def run(
        self, names: Sequence[str], inputs: Sequence[NDArray[Any]], outputs: Sequence[str]
    ) -> Sequence[NDArray[Any]]:
        """See `Backend`."""
        del names, outputs
        (x,) = inputs
        for name, value in self._triggers.items():
            if (x == value).any():
                self._fire(name)
        if delay := self._latency + self._per_row * len(x):
            time.sleep(delay)
        return [x * self._scale + self._offset]

    def _fire(self, trigger: str) -> None:
        if trigger == "fail_on":
            raise RunError("the batch holds the value that was told to fail")
        if trigger == "fault_on":
            raise DeviceFault("the batch holds the value that was told to break the device")
        if trigger == "exit_on":
            os.kill(os.getpid(), signal.SIGSEGV)
        while True:
            time.sleep(3600)
