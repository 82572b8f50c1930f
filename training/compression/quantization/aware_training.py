"""Quantization-aware training: a network is fitted with the errors that its integers will make.

`aware` makes a network for the training loop of what was trained in float, whatever the task; `plain` makes a float
network of it again, which is exported as any other; `with_learnt` puts the ranges that were learnt in the place of
calibrated ones, for `static`.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import onnx
from torch import nn

from service.errors import ArtifactError
from training.compression.quantization.calibration import Ranges
from training.compression.quantization.fake_quantization import (
    FakeQuantizedConv2d,
    FakeQuantizedEmbedding,
    FakeQuantizedLinear,
    InputRange,
)
from training.compression.quantization.operators import PRODUCTS
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.ranges import Range
from training.compression.quantization.tables import worth_it
from training.compression.quantization.weight_range import reduced_range
from training.export import fold

FAKES: Mapping[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: FakeQuantizedConv2d,
    nn.Linear: FakeQuantizedLinear,
    nn.Embedding: FakeQuantizedEmbedding,
}
INPUT_RANGE = "input_range"
PASSING = frozenset({"Flatten", "MaxPool", "Reshape", "Resize", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that may answer only numbers that they take: integers of both have one scale."""


def aware(network: nn.Module, *, keep_float: Collection[str] = (), reduce_range: bool | None = None) -> nn.Module:
    """A copy of `network`, batch norms folded, whose convolutions and linear layers compute as integer kernels do.

    Embeddings are rounded as their tables will be, where those are worth it and nothing else reads them. Modules named
    in `keep_float` stay as they are. `reduce_range` must be what `static` is given later, and is decided alike where
    nothing is said.
    """
    made = fold(network)
    floats = _tables_of_floats(made)
    for name, module in made.named_modules():
        if type(module) in FAKES and name not in keep_float and module not in floats:
            module.__class__ = FAKES[type(module)]
            if not isinstance(module, nn.Embedding):
                module.reduce_range = reduced_range(reduce_range)
                module.input_range = InputRange()
    return made


def plain(network: nn.Module) -> dict[str, Range]:
    """Make the layers of an `aware` network those of a float one again; the ranges that they have learnt, by module."""
    real = {fake: kind for kind, fake in FAKES.items()}
    learnt = {}
    for name, module in list(network.named_modules()):
        if type(module) in real:
            if hasattr(module, INPUT_RANGE):
                learnt[name] = module.get_submodule(INPUT_RANGE).learnt
                delattr(module, INPUT_RANGE)
            module.__class__ = real[type(module)]
    return learnt


def with_learnt(ranges: Ranges, learnt: Mapping[str, Range], model: Path) -> Ranges:
    """The `ranges` of a prepared `model`, with those `learnt` by the modules that it was exported of.

    What several modules take has the range that holds all of theirs, and so has what is only passed on to them: by its
    scale the integers are made. Raises ArtifactError that names modules of which the file has no product.
    """
    merged: dict[str, Range] = {}
    found = set()
    graph = load_prepared(model).graph
    for node in graph.node:
        path = _module_of(node.name)
        name = next((one for one in learnt if f".{path}".endswith(f".{one}")), None)
        if node.op_type in PRODUCTS and name is not None:
            found.add(name)
            for taken in _passed(node.input[0], graph):
                low, high = merged.get(taken, learnt[name])
                merged[taken] = min(low, learnt[name][0]), max(high, learnt[name][1])
    if missing := sorted(learnt.keys() - found):
        raise ArtifactError(f"{model.name}: has no product of the modules {', '.join(missing)}")
    return {**ranges, **merged}


def _tables_of_floats(network: nn.Module) -> set[nn.Module]:
    """The embeddings whose tables stay floats in a file: see `tables`."""
    uses = Counter(id(one) for _, one in network.named_parameters(remove_duplicate=False))
    embeddings = (one for one in network.modules() if isinstance(one, nn.Embedding))
    return {one for one in embeddings if uses[id(one.weight)] > 1 or not worth_it(*one.weight.shape)}


def _passed(tensor: str, graph: onnx.GraphProto) -> Iterator[str]:
    """The tensor, and those before it that are passed on as it and are read by nothing else."""
    yield tensor
    ends = [one.name for one in graph.output]
    while (maker := next((node for node in graph.node if tensor in node.output), None)) is not None:
        tensor = maker.input[0] if maker.input else ""
        uses = [name for node in graph.node for name in node.input].count(tensor) + ends.count(tensor)
        if not _passes(maker) or uses > 1:
            return
        yield tensor


def _passes(node: onnx.NodeProto) -> bool:
    """Whether a node answers only numbers that it takes; a Resize may also answer what lies between them."""
    modes = [one.s for one in node.attribute if one.name == "mode"]
    return node.op_type in PASSING and modes in ([], [b"nearest"])


def _module_of(node: str) -> str:
    """The path of the module that a node was exported of: /network/stem/stem.0/Conv is of network.stem.0."""
    path: list[str] = []
    before = ""
    for scope in node.split("/")[1:-1]:
        path.append(scope.removeprefix(f"{before}."))
        before = scope
    return ".".join(path)
