"""ONNX Runtime on CPU or CUDA.

On a CPU the runtime is bound to the bytes of the slot, and nothing is copied. On a GPU a batch is copied from the slot
to the device, and its outputs back into the slot; both are page-locked. Where graphs are wanted each kind of batch has
addresses of its own on the device (`Fixed`), since a graph remembers them.
"""

import contextlib
import io
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import Signature, TensorSpec
from service.backends.backend import DeviceFault, LoadError, RunError, one_line
from service.backends.bfloat16 import BFLOAT16, bits_of
from service.backends.cuda import is_lasting, pin
from service.backends.plan import Plan
from service.backends.texts import to_bytes, to_texts

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
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}


_CUDA = "CUDAExecutionProvider"
_GRAPH = "gpu_graph_id"
_NO_GRAPH = -1
"""The graph that a run names which is to be computed without one."""

Arrays: TypeAlias = Sequence[NDArray[Any]]
Kind: TypeAlias = tuple[tuple[int, ...], ...]
"""The shapes of a batch's inputs."""


class OnnxRuntime:
    """Owns one InferenceSession, and the addresses of each kind of batch that has a graph."""

    def __init__(self, plan: Plan, model: bytes) -> None:
        if plan.precision != "f32":
            raise LoadError(
                f"ONNX Runtime computes a model as it is written; precision {plan.precision!r} isn't an option"
            )
        try:
            self._session = onnxruntime.InferenceSession(model, _options(plan), providers=providers(plan))
        except Exception as error:  # the binding raises a dozen unrelated classes
            raise LoadError(one_line(str(error))) from error
        self._provider = self._session.get_providers()[0]
        if plan.device != "cpu" and self._provider != _CUDA:
            raise LoadError("instance_group asks for KIND_GPU, but ONNX Runtime has no CUDA provider here")
        self._signature = Signature(
            inputs=tuple(_spec(argument) for argument in self._session.get_inputs()),
            outputs=tuple(_spec(argument) for argument in self._session.get_outputs()),
        )
        specs = (*self._signature.inputs, *self._signature.outputs)
        self._texts = frozenset(spec.name for spec in specs if spec.datatype == "BYTES")
        self._halves = frozenset(spec.name for spec in specs if spec.datatype == "BF16")
        if self._halves and plan.device != "cpu":
            raise LoadError("a model with BF16 inputs or outputs runs on KIND_CPU only")
        self._place = _place(plan)
        self._graphs, self._buckets = plan.cuda_graphs and not self._texts, plan.batch_buckets
        self._plain = _run_options(_NO_GRAPH) if plan.cuda_graphs else None
        self._fixed: dict[Kind, Fixed] = {}

    @property
    def signature(self) -> Signature:
        """See `Backend`."""
        return self._signature

    @property
    def runtime(self) -> str:
        """See `Backend`."""
        return f"onnxruntime {onnxruntime.__version__} {self._provider}"

    def adopt(self, memory: memoryview) -> None:
        """See `Backend`: page-locked, where there is a GPU."""
        device, number = self._place
        if device != "cpu":
            pin(memory, number)

    def bind(
        self, names: Sequence[str], inputs: Arrays, output_names: Sequence[str], outputs: Arrays
    ) -> Callable[[], None] | None:
        """See `Backend`; not to be had for BF16, which the runtime takes and gives as values of its own."""
        if self._halves:
            return None
        if fixed := self._fixed.get(_kind(inputs)):
            return _guarded(partial(fixed.compute, inputs, outputs))
        binding = self._session.io_binding()
        feeds = list(zip(names, inputs, strict=True))
        for name, array in feeds:
            binding.bind_cpu_input(name, array)
        for name, array in zip(output_names, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        run = self._session.run_with_iobinding
        if self._provider != _CUDA:
            return _guarded(partial(run, binding))
        return _guarded(partial(_copy_and_run, run, binding, feeds, self._plain))

    def run(self, names: Sequence[str], inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        """See `Backend`."""
        if self._texts:
            named = zip(names, inputs, strict=True)
            inputs = [to_texts(name, array) if name in self._texts else array for name, array in named]
        try:
            results = self._compute(names, inputs, outputs)
        except Exception as error:  # the binding raises a dozen unrelated classes
            raise _failure(error) from error
        if self._graphs and (not self._buckets or len(inputs[0]) in self._buckets) and _kind(inputs) not in self._fixed:
            self._fix(names, inputs, outputs, results)
        if self._texts:
            return [
                to_bytes(array) if name in self._texts else array for name, array in zip(outputs, results, strict=True)
            ]
        return results

    def _compute(self, names: Sequence[str], inputs: Arrays, outputs: Sequence[str]) -> Arrays:
        feeds = zip(names, inputs, strict=True)
        if not self._halves:
            return self._session.run(outputs, dict(feeds), run_options=self._plain)  # type: ignore[no-any-return]
        values = {name: _value(array, half=name in self._halves) for name, array in feeds}
        results = self._session.run_with_ort_values(outputs, values, self._plain)
        return [
            bits_of(value) if name in self._halves else value.numpy()
            for name, value in zip(outputs, results, strict=True)
        ]

    def _fix(self, names: Sequence[str], inputs: Arrays, output_names: Sequence[str], outputs: Arrays) -> None:
        """Give batches like this one addresses on the device, and record their graph by computing it once more."""
        named = (list(zip(names, inputs, strict=True)), list(zip(output_names, outputs, strict=True)))
        fixed = Fixed(self._session, self._place, *named, graph=len(self._fixed) + 1)
        _guarded(partial(fixed.compute, inputs, outputs))()
        self._fixed[_kind(inputs)] = fixed


class Fixed:
    """Owns the memory of one kind of batch at a place, such as ("cuda", 0): its address is the same for every batch.

    `inputs` and `outputs` are examples by name; `graph` is the number of the graph that is recorded at the first
    computation, where the session has graphs.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        place: tuple[str, int],
        inputs: Sequence[tuple[str, NDArray[Any]]],
        outputs: Sequence[tuple[str, NDArray[Any]]],
        *,
        graph: int,
    ) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._inputs = [_reserve(array, place) for _, array in inputs]
        self._outputs = [_reserve(array, place) for _, array in outputs]
        for (name, _), value in zip(inputs, self._inputs, strict=True):
            self._binding.bind_ortvalue_input(name, value)
        for (name, _), value in zip(outputs, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)
        self._options = _run_options(graph)

    def compute(self, inputs: Arrays, outputs: Arrays) -> None:
        """Copy `inputs` there, compute, and copy what comes of it into `outputs`."""
        for value, array in zip(self._inputs, inputs, strict=True):
            value.update_inplace(array)
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        for value, array in zip(self._outputs, outputs, strict=True):
            np.copyto(array, value.numpy())


def _copy_and_run(
    run: Callable[..., None],
    binding: onnxruntime.IOBinding,
    feeds: Sequence[tuple[str, NDArray[Any]]],
    options: onnxruntime.RunOptions | None,
) -> None:
    """Compute what the arrays hold now: binding an array that lies elsewhere copies it to the device."""
    for name, array in feeds:
        binding.bind_cpu_input(name, array)
    binding.synchronize_inputs()
    run(binding, options)
    binding.synchronize_outputs()


def _guarded(compute: Callable[[], None]) -> Callable[[], None]:
    """`compute`, raising RunError or DeviceFault."""

    def guarded() -> None:
        try:
            compute()
        except Exception as error:  # as above
            raise _failure(error) from error

    return guarded


def _failure(error: Exception) -> RunError | DeviceFault:
    text = str(error)
    return (DeviceFault if is_lasting(text) else RunError)(one_line(text))


def _reserve(array: NDArray[Any], place: tuple[str, int]) -> onnxruntime.OrtValue:
    """Memory at a place for arrays like this one."""
    return onnxruntime.OrtValue.ortvalue_from_shape_and_type(array.shape, array.dtype.type, *place)


def _run_options(graph: int) -> onnxruntime.RunOptions:
    options = onnxruntime.RunOptions()
    options.add_run_config_entry(_GRAPH, str(graph))
    return options


def _kind(inputs: Arrays) -> Kind:
    return tuple(array.shape for array in inputs)


def _place(plan: Plan) -> tuple[str, int]:
    """The plan's device as the runtime names it."""
    name, _, number = plan.device.partition(":")
    return name, int(number or 0)


def _options(plan: Plan) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = plan.intra_op_threads
    options.inter_op_num_threads = plan.inter_op_threads
    options.log_severity_level = 4  # what is wrong is raised and reported once, by us
    # Spinning threads take a core that the front process needs: measured to cost both latency and throughput.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def providers(plan: Plan) -> list[Any]:
    """What computes by this plan, and with which options. Raises LoadError where there is no CUDA provider."""
    if plan.device == "cpu":
        return ["CPUExecutionProvider"]
    if _CUDA not in onnxruntime.get_available_providers():
        raise LoadError(
            "instance_group asks for KIND_GPU, but this ONNX Runtime has no CUDA provider: install the gpu extra"
        )
    with contextlib.redirect_stdout(io.StringIO()):  # what can't be found is missed by the session, and said there
        onnxruntime.preload_dlls(directory="")
    return [(_CUDA, cuda_options(plan)), "CPUExecutionProvider"]


def cuda_options(plan: Plan) -> dict[str, str]:
    """What the CUDA provider is told. Memory grows by what is asked for and no more, and float32 stays float32."""
    return {
        "device_id": str(_place(plan)[1]),
        "arena_extend_strategy": "kSameAsRequested",
        # The exhaustive search is done anew for each shape, so it is for few shapes, that are warmed.
        "cudnn_conv_algo_search": "EXHAUSTIVE" if plan.batch_buckets else "HEURISTIC",
        "use_tf32": "0",
        "enable_cuda_graph": str(int(plan.cuda_graphs)),
    }


def _spec(argument: onnxruntime.NodeArg) -> TensorSpec:
    datatype = _DATATYPES.get(argument.type)
    if datatype is None:
        raise LoadError(f"tensor {argument.name!r} has type {argument.type}, which can't be served")
    dims = tuple(-1 if dim is None else dim for dim in argument.shape)
    return TensorSpec(name=argument.name, datatype=datatype, dims=dims)


def _value(array: NDArray[Any], *, half: bool) -> onnxruntime.OrtValue:
    """An array as the runtime holds it; of `half` floats it has the bits, as BF16."""
    if half:
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(np.ascontiguousarray(array), BFLOAT16)
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)
