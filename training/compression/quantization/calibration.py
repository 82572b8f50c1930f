"""The ranges of a model's activations, learnt from samples, and kept in a folder for who asks again.

Own histograms instead of the runtime's: its entropy calibration looks at one candidate, the whole range, unless told
to use more bins, and its percentiles are symmetric, which wastes half the codes on values that ReLU removed.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from service.artifact.digest import sha256_bytes
from service.errors import ArtifactError
from training import durable
from training.compression.quantization.operators import CONVOLUTIONAL
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.ranges import BINS, Range, entropy_range, percentile_range
from training.compression.quantization.samples import check_samples, length_of
from training.compression.quantization.settings import CalibrationSettings
from training.graph import tensors_of
from training.session import Tensors

Ranges = Mapping[str, Range]
"""The least and the largest value that each activation is to represent, by the name of its tensor."""
Activations = Iterator[tuple[str, NDArray[np.float32]]]

BATCH = 8


def calibrate(model: Path, samples: Tensors, settings: CalibrationSettings, *, cache: Path | None = None) -> Ranges:
    """The ranges of the activations of a prepared `model` on `samples`, an array [N, ...] for each input.

    They are training samples: the test part must stay unseen. A tensor that isn't finite on them has no range. With
    `cache`, a folder, ranges of the same model, samples and settings are read from there, or else written there.
    Raises ArtifactError that names the input and the sample at fault.
    """
    proto = load_prepared(model)
    check_samples(tensors_of(proto), samples)
    watched = _watched(proto)
    if cache is None:
        return _learnt(proto, watched, samples, settings)
    kept = cache / f"{_key(model, samples, settings)}.json"
    if (ranges := _read(kept, watched)) is None:
        ranges = _learnt(proto, watched, samples, settings)
        cache.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.encode(ranges)
        durable.put(kept, sha256_bytes(content).encode() + b"\n" + content)
    return ranges


def _watched(model: onnx.ModelProto) -> list[str]:
    """The floats that go into or come out of nodes that may be quantized."""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    floats = {one.name for one in values if one.type.tensor_type.elem_type == TensorProto.FLOAT}
    weights = {one.name for one in model.graph.initializer}
    touched = {
        name for node in model.graph.node if node.op_type in CONVOLUTIONAL for name in (*node.input, *node.output)
    }
    return sorted(touched & floats - weights)


def _key(model: Path, samples: Tensors, settings: CalibrationSettings) -> str:
    """SHA-256 of all that ranges depend on."""
    told = hashlib.sha256(model.read_bytes())
    for name, array in sorted(samples.items()):
        told.update(f"{name} {array.dtype} {array.shape}".encode())
        told.update(np.ascontiguousarray(array).data)
    told.update(msgspec.json.encode(settings))
    return told.hexdigest()


def _read(path: Path, watched: Collection[str]) -> dict[str, Range] | None:
    """Ranges that were kept, or nothing if there are none or the file was damaged."""
    try:
        digest, _, content = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    if digest != sha256_bytes(content).encode():
        return None
    ranges = msgspec.json.decode(content, type=dict[str, Range])
    return ranges if ranges.keys() <= set(watched) else None


def _learnt(
    model: onnx.ModelProto, watched: Collection[str], samples: Tensors, settings: CalibrationSettings
) -> dict[str, Range]:
    observe = _observer(model, watched, samples)
    extremes = _extremes(observe())
    if settings.method == "minmax":
        return extremes
    counts = {name: np.zeros(BINS, np.int64) for name, (low, high) in extremes.items() if low < high}
    entropy = settings.method == "entropy"
    for name, values in observe():
        if name in counts:
            # Zero is always an integer of its own: where ReLU made many, they say nothing of how far the others reach.
            counts[name] += np.histogram(values[values != 0] if entropy else values, BINS, extremes[name])[0]
    if entropy:
        narrower = {name: entropy_range(one, extremes[name]) for name, one in counts.items()}
    else:
        narrower = {name: percentile_range(one, extremes[name], settings.percentile) for name, one in counts.items()}
    return {**extremes, **narrower}


def _extremes(activations: Activations) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for name, values in activations:
        if not values.size:
            continue  # a part of heads that there are none of
        low, high = found.get(name, (np.inf, -np.inf))
        # Of numbers that aren't any, both become NaN here and stay it.
        found[name] = float(np.minimum(low, values.min())), float(np.maximum(high, values.max()))
    return {name: extremes for name, extremes in found.items() if np.isfinite(extremes).all()}


def _observer(model: onnx.ModelProto, watched: Collection[str], samples: Tensors) -> Callable[[], Activations]:
    """A function that computes all samples, a batch at a time, and gives what the watched tensors were."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    answered = {one.name for one in told.graph.output}
    given = {one.name for one in told.graph.input}
    inside = [name for name in watched if name not in given]
    told.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inside if name not in answered
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(told.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def observe() -> Activations:
        for start in range(0, length_of(samples), BATCH):
            batch = {name: array[start : start + BATCH] for name, array in samples.items()}
            yield from ((name, batch[name]) for name in watched if name in given)
            if not inside:
                continue  # of no names the runtime would answer all outputs
            try:
                yield from zip(inside, session.run(inside, batch), strict=True)
            except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
                raise ArtifactError(f"the model can't compute the samples from {start} on ({error})") from error

    return observe
