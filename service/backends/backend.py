"""The contract between a worker and a runtime."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from service.artifact.signature import Signature
from service.backends.plan import Plan


class LoadError(Exception):
    """The runtime can't load the model; the text is one line, without paths."""


class RunError(Exception):
    """The runtime refused a batch and can go on; the text is one line, without paths."""


class DeviceFault(Exception):
    """The device has failed in a way that lasts as long as this process; the text is one line, without paths."""


DEVICE_FAULT = 70
"""Exit status of a worker that met one."""

_INTERNALS = (
    re.compile(r" ?; ?(?:GPU|hostname|file|line|expr)=[^;]*"),  # where and on which machine CUDA failed
    re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : "),  # its prefix, also nested
    re.compile(r"(?:\w+[*&]* )*(?:onnxruntime|ov|std)::[\w:<>]+(?:\([^()]*\))?[*&]*"),  # C++ functions and types
    re.compile(r"(?:[\w./+-]*/)?[\w-]+\.(?:cc|cpp|h|hpp):\d+:?"),  # places in their sources
    re.compile(r"(?<![\w:])/(?:[\w.+-]+/)*[\w.+-]+"),  # paths of this machine
)
_LONGEST_TEXT = 300


def one_line(text: str) -> str:
    """What a runtime said, on one line, without its internals and the paths of this machine."""
    for pattern in _INTERNALS:
        text = pattern.sub("", text)
    return " ".join(text.split())[:_LONGEST_TEXT] or "the runtime gave no reason"


class Backend(Protocol):
    """One loaded model. Used from one thread."""

    @property
    def signature(self) -> Signature:
        """Names, datatypes and full shapes (batch axis included) of inputs and outputs, in the model's own order."""

    @property
    def runtime(self) -> str:
        """Name and version of the runtime, and what it runs on."""

    def run(
        self, names: Sequence[str], inputs: Sequence[NDArray[Any]], outputs: Sequence[str]
    ) -> Sequence[NDArray[Any]]:
        """The named outputs for the named inputs. The inputs are valid during the call only.

        Raises RunError when this batch can't be computed, DeviceFault when none can any more.
        """

    def adopt(self, memory: memoryview) -> None:
        """Inputs and outputs will lie in this memory for as long as the process lives."""

    def bind(
        self,
        names: Sequence[str],
        inputs: Sequence[NDArray[Any]],
        output_names: Sequence[str],
        outputs: Sequence[NDArray[Any]],
    ) -> Callable[[], None] | None:
        """A function that computes what `inputs` hold when it is called into `outputs`, without copying either.

        The arrays are views of memory that stays. None where the runtime can't; the function raises as `run` does.
        """


def open_backend(plan: Plan, model: bytes) -> Backend:
    """Load `model` (the bytes of the plan's file) with the runtime that the plan names. Raises LoadError."""
    if plan.backend == "onnxruntime":
        from service.backends.onnxruntime import OnnxRuntime

        return OnnxRuntime(plan, model)
    if plan.backend == "openvino":
        from service.backends.openvino import OpenVino

        return OpenVino(plan, model)
    if plan.backend == "transform":
        from service.backends.transform import TransformBackend

        return TransformBackend()
    if plan.backend == "fake":
        from service.backends.fake import FakeBackend

        return FakeBackend(plan)
    raise LoadError(f"unknown backend {plan.backend!r}")
