"""OpenVINO on CPU."""

import io
from collections.abc import Sequence
from typing import Any

import openvino
from numpy.typing import NDArray

from service.artifact.signature import Signature, TensorSpec
from service.backends.backend import LoadError, RunError, one_line
from service.backends.plan import Plan

_DATATYPES = {
    "boolean": "BOOL",
    "u8": "UINT8",
    "u16": "UINT16",
    "u32": "UINT32",
    "u64": "UINT64",
    "i8": "INT8",
    "i16": "INT16",
    "i32": "INT32",
    "i64": "INT64",
    "f16": "FP16",
    "f32": "FP32",
    "f64": "FP64",
}


def _last_line(error: Exception) -> str:
    """The last line of OpenVINO's stack of check messages says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(lines[-1] if lines else "")


class OpenVino:
    """Owns one compiled model and its infer request."""

    def __init__(self, plan: Plan, model: bytes) -> None:
        if plan.device != "cpu":
            raise LoadError("backend openvino runs on KIND_CPU only")
        core = openvino.Core()
        try:
            read = core.read_model(io.BytesIO(model))
            self._compiled = core.compile_model(read, "CPU", _properties(plan))
        except RuntimeError as error:
            raise LoadError(_last_line(error)) from error
        self._request = self._compiled.create_infer_request()
        self._signature = Signature(
            # By the model as it was read: compiling folds operators, and their tensors' names into those of its own.
            inputs=tuple(_spec(port) for port in read.inputs),
            outputs=tuple(_spec(port) for port in read.outputs),
        )
        self._positions = {spec.name: position for position, spec in enumerate(self._signature.outputs)}

    @property
    def signature(self) -> Signature:
        """See `Backend`."""
        return self._signature

    @property
    def runtime(self) -> str:
        """See `Backend`."""
        return f"openvino {openvino.__version__.split('-')[0]} CPU"

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
        try:
            self._request.infer(dict(zip(names, inputs, strict=True)), share_inputs=True)
        except RuntimeError as error:
            raise RunError(_last_line(error)) from error
        return [self._request.get_output_tensor(self._positions[name]).data for name in outputs]


def _properties(plan: Plan) -> dict[str, Any]:
    """Threads and precision as the plan says: the defaults would pin all workers to one core and compute in bf16."""
    return {
        "INFERENCE_PRECISION_HINT": plan.precision,
        "INFERENCE_NUM_THREADS": plan.intra_op_threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }


def _spec(port: openvino.Output) -> TensorSpec:
    name = port.get_any_name()
    kind = port.get_element_type().get_type_name()
    if kind not in _DATATYPES:
        raise LoadError(f"tensor {name!r} has type {kind}, which can't be served")
    dims = tuple(-1 if dim.is_dynamic else dim.get_length() for dim in port.get_partial_shape())
    return TensorSpec(name=name, datatype=_DATATYPES[kind], dims=dims)
