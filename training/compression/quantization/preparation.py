"""What every method needs first: one self-contained file without batch norms, whose shapes and node names are known.

All methods name nodes as they are called in the prepared file.
"""

import tempfile
from collections.abc import Iterable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization.quant_utils import add_pre_process_metadata, model_has_pre_process_metadata

from service.errors import ArtifactError
from training.durable import put
from training.errors import one_line
from training.graph import Tensors, nodes_of, tensors_of
from training.imports import onnx_file

OLDEST_OPSET = 13
"""The first that dequantizes weights by a scale for each channel."""
INTEGER_OPERATORS = {
    "ConvInteger",
    "DequantizeLinear",
    "DynamicQuantizeLSTM",
    "MatMulInteger",
    "MatMulNBits",
    "QLinearConv",
    "QLinearMatMul",
}


def prepare(source: Path, target: Path) -> None:
    """Write the ONNX file `source` to `target`, ready to be quantized: it answers as before.

    Weights in files beside it are taken in, old opsets converted, constants folded, batch norms folded into what they
    follow or else made products and sums, shapes inferred, and every node has a name of its own. Raises ArtifactError
    that says what to do if it has no batch, is quantized already, isn't sound, or keeps a batch norm.
    """
    model = onnx_file.load(source).model
    if onnx_file.opset_of(model) < OLDEST_OPSET:
        model = onnx_file.of_our_opset(model, source.name)
    check_batched(tensors_of(model), source.name)
    _check_float(model, source.name)
    _name_nodes(model.graph.node)
    optimized = _optimized(model, source.name)
    if any(one.data_type == onnx.TensorProto.FLOAT16 for one in optimized.graph.initializer):
        # A CPU computes them as float32, by casts that the runtime puts in at the end; now they are folded, too.
        optimized = _optimized(optimized, source.name)
    model = onnx.shape_inference.infer_shapes(optimized)
    if _unfold(model):
        model = onnx.shape_inference.infer_shapes(model)
    _check_folded(model, source.name)
    _name_nodes(model.graph.node)
    _drop_shapes_of_weights(model)
    _drop_unused_domains(model)
    add_pre_process_metadata(model)
    put(target, model.SerializeToString(deterministic=True))


def load_prepared(path: Path) -> onnx.ModelProto:
    """The model in a file that `prepare` wrote. Raises ArtifactError for any other, also a quantized one."""
    model = onnx.load(path)
    if not model_has_pre_process_metadata(model):
        raise ArtifactError(f"{path.name}: isn't prepared for quantization; give it to `prepare` first")
    _check_float(model, path.name)
    return model


def check_batched(tensors: Tensors, name: str) -> None:
    """Raise ArtifactError that names the inputs and outputs without a batch, if not all have one."""
    if tensors.batched:
        return
    ends = (*tensors.inputs, *tensors.outputs)
    fixed = ", ".join(f"{one.name} {list(one.dims)}" for one in ends if one.dims[:1] != (-1,))
    raise ArtifactError(
        f"{name}: has no batch, the first axis doesn't vary in {fixed}; export it with one that does (dynamic_axes or"
        " dynamic_shapes of torch.onnx.export), or, where it is 1, give what `hone-train import --batched` publishes"
    )


def _check_float(model: onnx.ModelProto, name: str) -> None:
    if found := sorted({node.op_type for node in nodes_of(model)} & INTEGER_OPERATORS):
        raise ArtifactError(f"{name}: is quantized already ({', '.join(found)}); quantize the float model it is from")


def _optimized(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """What the runtime makes of a graph on any machine. Its own `quant_pre_process` goes on where this fails."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as scratch:
        options.optimized_model_filepath = str(Path(scratch) / name)
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the binding raises a dozen unrelated classes
            raise ArtifactError(f"{name}: couldn't be prepared for quantization ({one_line(error)})") from error
        return onnx.load(options.optimized_model_filepath)


def _unfold(model: onnx.ModelProto) -> bool:
    """Make a product and a sum of every batch norm that followed nothing it could be folded into; True if any was."""
    weights = {one.name: one for one in model.graph.initializer}
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*model.graph.value_info, *model.graph.input)
        if value.type.tensor_type.HasField("shape")
    }
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if not _is_affine(node, weights, ranks):
            nodes.append(node)
            continue
        scale, shift, mean, variance = (numpy_helper.to_array(weights[name]) for name in node.input[1:])
        epsilon = next((one.f for one in node.attribute if one.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + np.float32(epsilon))
        axes = (-1, *(1,) * (ranks[node.input[0]] - 2))
        for operator, value, inputs, output in (
            ("Mul", factor, node.input[0], f"{node.output[0]}_scaled"),
            ("Add", shift - mean * factor, f"{node.output[0]}_scaled", node.output[0]),
        ):
            nodes.append(_with_constant(model, operator, value.reshape(axes), inputs, output))
    changed = len(nodes) > len(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return changed


def _is_affine(node: onnx.NodeProto, weights: Iterable[str], ranks: Iterable[str]) -> bool:
    """Whether a node is a batch norm by figures that are known."""
    return (
        node.op_type == "BatchNormalization"
        and len(node.output) == 1
        and set(node.input[1:]) <= set(weights)
        and node.input[0] in ranks
    )


def _with_constant(
    model: onnx.ModelProto, operator: str, value: NDArray[Any], source: str, target: str
) -> onnx.NodeProto:
    name = f"{target}_constant"
    model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    return helper.make_node(operator, [source, name], [target], name=f"{target}_{operator}")


def _check_folded(model: onnx.ModelProto, name: str) -> None:
    if left := [node.name or node.output[0] for node in nodes_of(model) if node.op_type == "BatchNormalization"]:
        raise ArtifactError(
            f"{name}: BatchNormalization wasn't folded ({', '.join(left)}); export the model in evaluation mode"
        )


def _name_nodes(nodes: Sequence[onnx.NodeProto]) -> None:
    """Give every node that has none a name of its own: that of its first output, by which it is known in the source."""
    taken = {node.name for node in nodes}
    for node in nodes:
        if not node.name:
            wanted = chain(node.output[:1], (f"{node.op_type}_{number}" for number in count()))
            node.name = next(name for name in wanted if name and name not in taken)
            taken.add(node.name)


def _drop_shapes_of_weights(model: onnx.ModelProto) -> None:
    """Some exporters tell them as if weights were computed, and they would be wrong once those are transposed."""
    weights = {one.name for one in model.graph.initializer}
    kept = [one for one in model.graph.value_info if one.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    """The runtime names every domain that it knows, which other runtimes may not."""
    used = {"", *(node.domain for node in nodes_of(model))}
    kept = [one for one in model.opset_import if one.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
