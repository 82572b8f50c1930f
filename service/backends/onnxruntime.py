"""ONNX Runtime on CPU or CUDA."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import Signature, TensorSpec
from service.backends.backend import LoadError, RunError, one_line
from service.backends.plan import Plan

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when the library is loaded

import onnxruntime

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}


class OnnxRuntime:
    """Owns one InferenceSession."""

    def __init__(self, plan: Plan, model: bytes) -> None:
        if plan.precision != "f32":
            raise LoadError(
                f"ONNX Runtime computes a model as it is written; precision {plan.precision!r} isn't an option"
            )
        try:
            self._session = onnxruntime.InferenceSession(model, _options(plan), providers=_providers(plan))
        except Exception as error:  # the binding raises a dozen unrelated classes
            raise LoadError(one_line(str(error))) from error
        self._provider = self._session.get_providers()[0]
        if plan.device != "cpu" and self._provider != "CUDAExecutionProvider":
            raise LoadError("instance_group asks for KIND_GPU, but ONNX Runtime has no CUDA provider here")
        self._signature = Signature(
            inputs=tuple(_spec(argument) for argument in self._session.get_inputs()),
            outputs=tuple(_spec(argument) for argument in self._session.get_outputs()),
        )
        specs = (*self._signature.inputs, *self._signature.outputs)
        self._texts = frozenset(spec.name for spec in specs if spec.datatype == "BYTES")

    @property
    def signature(self) -> Signature:
        """See `Backend`."""
        return self._signature

    @property
    def runtime(self) -> str:
        """See `Backend`."""
        return f"onnxruntime {onnxruntime.__version__} {self._provider}"

    def bind(
        self,
        names: Sequence[str],
        inputs: Sequence[NDArray[Any]],
        output_names: Sequence[str],
        outputs: Sequence[NDArray[Any]],
    ) -> Callable[[], None] | None:
        """See `Backend`."""
        if self._provider != "CPUExecutionProvider":
            return None
        binding = self._session.io_binding()
        for name, array in zip(names, inputs, strict=True):
            binding.bind_cpu_input(name, array)
        for name, array in zip(output_names, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        run = self._session.run_with_iobinding

        def compute() -> None:
            try:
                run(binding)
            except Exception as error:  # as below
                raise RunError(one_line(str(error))) from error

        return compute

    def run(
        self, names: Sequence[str], inputs: Sequence[NDArray[Any]], outputs: Sequence[str]
    ) -> Sequence[NDArray[Any]]:
        """See `Backend`."""
        if self._texts:
            named = zip(names, inputs, strict=True)
            inputs = [_as_text(name, array) if name in self._texts else array for name, array in named]
        try:
            results = self._session.run(outputs, dict(zip(names, inputs, strict=True)))
        except Exception as error:  # the binding raises a dozen unrelated classes
            raise RunError(one_line(str(error))) from error
        if self._texts:
            return [
                _as_bytes(array) if name in self._texts else array for name, array in zip(outputs, results, strict=True)
            ]
        return results  # type: ignore[no-any-return]  # the binding is untyped


def _options(plan: Plan) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.intra_op_threads
    options.inter_op_num_threads = plan.inter_op_threads
    options.log_severity_level = 4  # what is wrong is raised and reported once, by us
    # Spinning threads take a core that the front process needs: measured to cost both latency and throughput.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _providers(plan: Plan) -> list[Any]:
    if plan.device == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise LoadError(
            "instance_group asks for KIND_GPU, but this ONNX Runtime has no CUDA provider: install the gpu extra"
        )
    return [("CUDAExecutionProvider", {"device_id": plan.device.removeprefix("cuda:")}), "CPUExecutionProvider"]


def _spec(argument: onnxruntime.NodeArg) -> TensorSpec:
    datatype = _DATATYPES.get(argument.type)
    if datatype is None:
        raise LoadError(f"tensor {argument.name!r} has type {argument.type}, which can't be served")
    dims = tuple(-1 if dim is None else dim for dim in argument.shape)
    return TensorSpec(name=argument.name, datatype=datatype, dims=dims)


def _as_text(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The runtime takes strings as `str`; the protocol speaks of bytes."""
    decoded = np.empty(array.size, dtype=np.object_)
    try:
        decoded[:] = [element.decode() for element in array.flat]
    except UnicodeDecodeError as error:
        raise RunError(f"input {name!r} holds bytes that aren't UTF-8 text, which is what ONNX strings are") from error
    return decoded.reshape(array.shape)


def _as_bytes(array: NDArray[Any]) -> NDArray[Any]:
    """The runtime answers strings as `str`; the protocol speaks of bytes."""
    encoded = np.empty(array.size, dtype=np.object_)
    encoded[:] = [element.encode() for element in array.flat]
    return encoded.reshape(array.shape)
