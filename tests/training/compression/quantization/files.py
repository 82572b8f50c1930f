"""Prepared ONNX files of small networks, and samples for them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from tests.training.architectures import ARCHITECTURES
from training.compression.quantization.preparation import prepare
from training.export import export
from training.networks.catalogue import build
from training.session import Tensors, open_model
from training.tracing import trace_calls


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A prepared file, what it may be calibrated on, and what it answers to that."""

    path: Path
    samples: Tensors

    @property
    def graph(self) -> onnx.GraphProto:
        return onnx.load(self.path).graph

    def answers(self) -> Tensors:
        return open_model(self.path)(self.samples)

    def error(self, other: Path) -> float:
        """The largest difference in an answer of another file, as a share of the largest answer."""
        found = open_model(other)(self.samples)
        return max(float(np.abs(found[name] - one).max() / np.abs(one).max()) for name, one in self.answers().items())


@cache
def architecture(name: str) -> Prepared:
    """One of the networks that all tests know, with random weights."""
    known = ARCHITECTURES[name]
    folder = Path(mkdtemp())
    arrays = [tensor.numpy() for tensor in known.asked]
    network = build(known.config, seed=1).eval()
    export(known.served(network), arrays, folder / "float.onnx", known.signature)
    prepare(folder / "float.onnx", folder / "prepared.onnx")
    return Prepared(path=folder / "prepared.onnx", samples=dict(zip(known.signature.inputs, arrays, strict=True)))


def traced(network: nn.Module, samples: NDArray[Any], path: Path) -> Path:
    """The ONNX file of any network with one input `x` and one output `y`, as it is: nothing is folded."""
    axes = {"x": {0: "batch"}, "y": {0: "batch"}}
    model = trace_calls(network.eval(), (torch.from_numpy(samples[:2]),), inputs=["x"], outputs=["y"], axes=axes)
    path.write_bytes(model.SerializeToString())
    return path


def prepared(network: nn.Module, samples: NDArray[Any], folder: Path) -> Prepared:
    """The same, prepared."""
    prepare(traced(network, samples, folder / "float.onnx"), folder / "prepared.onnx")
    return Prepared(path=folder / "prepared.onnx", samples={"x": samples})


def floats(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)
