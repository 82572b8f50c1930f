"""The workloads by name."""

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.workloads import mlp
from loadtests.workloads.workload import Tensor, Wire, Workload

VOCABULARY = 30522
SIDE = 224


def _features(random: np.random.Generator) -> NDArray[Any]:
    """Rounded, so that their JSON numbers have the length that real features have."""
    return random.standard_normal((1, mlp.WIDTHS[0])).round(6)


def _image(side: int, random: np.random.Generator) -> NDArray[Any]:
    return random.standard_normal((1, 3, side, side))


def _pixels(random: np.random.Generator) -> NDArray[Any]:
    return random.integers(0, 256, (1, 3, SIDE, SIDE))


def _tokens(length: int, random: np.random.Generator) -> NDArray[Any]:
    return random.integers(1000, VOCABULARY, (1, length))


W1 = Workload(
    name="W1",
    title="MLP 64-256-256-10, JSON",
    input=Tensor(name="x", datatype="FP32", dims=(mlp.WIDTHS[0],)),
    output=Tensor(name="y", datatype="FP32", dims=(mlp.WIDTHS[-1],)),
    wire=Wire.JSON,
    threads=1,
    connections=64,
    turn=1,
    values=_features,
)
W2 = Workload(
    name="W2",
    title="small residual network, 32 px, 12 KB binary",
    input=Tensor(name="image", datatype="FP32", dims=(3, 32, 32)),
    output=Tensor(name="logits", datatype="FP32", dims=(10,)),
    wire=Wire.BINARY,
    threads=1,
    connections=64,
    turn=1,
    values=lambda random: _image(32, random),
)
W3 = Workload(
    name="W3",
    title="6-layer encoder, 32 tokens, JSON",
    input=Tensor(name="input_ids", datatype="INT64", dims=(32,)),
    output=Tensor(name="pooled", datatype="FP32", dims=(384,)),
    wire=Wire.JSON,
    threads=2,
    connections=32,
    turn=5,
    values=lambda random: _tokens(32, random),
)
W4 = Workload(
    name="W4",
    title="ResNet-18, 224 px, 602 KB binary float32",
    input=Tensor(name="image", datatype="FP32", dims=(3, SIDE, SIDE)),
    output=Tensor(name="logits", datatype="FP32", dims=(1000,)),
    wire=Wire.BINARY,
    threads=2,
    connections=64,
    turn=10,
    values=lambda random: _image(SIDE, random),
    max_batch_size=16,
)
W4_UINT8 = Workload(
    name="W4-uint8",
    title="ResNet-18, 224 px, 150 KB binary uint8, normalised in the graph",
    input=Tensor(name="image", datatype="UINT8", dims=(3, SIDE, SIDE)),
    output=W4.output,
    wire=Wire.BINARY,
    threads=2,
    connections=64,
    turn=10,
    values=_pixels,
    max_batch_size=16,
)
W5 = Workload(
    name="W5",
    title="6-layer encoder, 64 tokens, JSON",
    input=Tensor(name="input_ids", datatype="INT64", dims=(64,)),
    output=W3.output,
    wire=Wire.JSON,
    threads=2,
    connections=32,
    turn=5,
    values=lambda random: _tokens(64, random),
    max_batch_size=16,
)

WORKLOADS = {one.name: one for one in (W1, W2, W3, W4, W4_UINT8, W5)}


def chosen(names: str) -> list[Workload]:
    """Those of a list such as `W1,W3`. Raises ArgumentTypeError for a name that isn't one of them."""
    unknown = [name for name in names.split(",") if name not in WORKLOADS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such workload; there are {', '.join(WORKLOADS)}")
    return [WORKLOADS[name] for name in names.split(",")]
