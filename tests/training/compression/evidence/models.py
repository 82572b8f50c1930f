"""Real networks and what ONNX Runtime's own tools make of them, as they come."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from tests.training.architectures import TEXT, WINDOW, Architecture
from training.export import BATCH, IMAGES, Probabilities, Signature, export
from training.networks.catalogue import build
from training.networks.encoder import EncoderConfig
from training.networks.mlp import MLPConfig
from training.networks.recurrent import RecurrentConfig
from training.networks.resnet import ResNetConfig
from training.session import Tensors

CNN_OPERATORS = ("Conv", "Gemm", "Add", "Relu", "GlobalAveragePool", "Flatten")
ROWS = Signature(inputs={"row": BATCH}, outputs={"probabilities": BATCH})
RANDOM = np.random.default_rng(5)

CNN = ResNetConfig(widths=(32, 64), channels=3, classes=10)
ENCODER = EncoderConfig(layers=1, width=128, heads=4, vocabulary=200, length=32, classes=4)
LSTM = RecurrentConfig(width=128, features=8, outputs=4)
GRU = RecurrentConfig(cell="gru", width=128, features=8, outputs=4)
MLP = MLPConfig(widths=(32, 32), features=64, outputs=10)

SAMPLES: Mapping[str, Tensors] = {
    "cnn": {"image": RANDOM.integers(0, 256, (16, 3, 32, 32), dtype=np.uint8)},
    "encoder": {"input_ids": RANDOM.integers(1, 200, (16, 32))},
    "lstm": {"window": RANDOM.normal(size=(16, 32, 8)).astype(np.float32)},
    "gru": {"window": RANDOM.normal(size=(16, 32, 8)).astype(np.float32)},
    "mlp": {"row": RANDOM.normal(size=(16, 64)).astype(np.float32)},
}


@dataclass(frozen=True, kw_only=True)
class Models:
    """A folder of the float networks, by their names here, each prepared for quantization."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.onnx"

    def static(
        self,
        name: str,
        operators: Collection[str],
        *,
        keep_float: Collection[str] = (),
        activations: QuantType = QuantType.QUInt8,
    ) -> Path:
        """The network quantized statically, but for some nodes."""
        target = self.folder / f"{name}.static.{len(list(self.folder.iterdir()))}.onnx"
        quantize_with(self.path(name), target, SAMPLES[name], operators, keep_float=keep_float, activations=activations)
        return target

    def dynamic(self, name: str) -> Path:
        target = self.folder / f"{name}.dynamic.onnx"
        quantize_dynamic(
            self.path(name), target, op_types_to_quantize=["MatMul", "Gemm", "LSTM"], weight_type=QuantType.QInt8
        )
        return target


def quantize_with(
    source: Path,
    target: Path,
    samples: Tensors,
    operators: Collection[str],
    *,
    keep_float: Collection[str] = (),
    activations: QuantType = QuantType.QUInt8,
) -> None:
    """Static quantization by the runtime's own tools, but for some nodes."""
    quantize_static(
        source,
        target,
        Samples(samples),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(operators),
        nodes_to_exclude=sorted(keep_float),
        per_channel=True,
        activation_type=activations,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )


class Samples(CalibrationDataReader):  # type: ignore[misc] # the runtime asks for this base class
    """Calibrates on all samples at once."""

    def __init__(self, samples: Tensors) -> None:
        self._left = [dict(samples)]

    def get_next(self) -> dict[str, object] | None:
        return dict(self._left.pop()) if self._left else None


def batch(name: str, rows: int = 4) -> Tensors:
    return {key: array[:rows] for key, array in SAMPLES[name].items()}


def exported(architecture: Architecture, folder: Path) -> tuple[Path, Tensors]:
    """A network as a file that is prepared for quantization, and what goes into it."""
    raw, path = folder / "raw.onnx", folder / "original.onnx"
    arrays = [one.numpy() for one in architecture.asked]
    network = build(architecture.config, seed=0)
    export(architecture.served(network), arrays, raw, architecture.signature)
    quant_pre_process(raw, path, skip_symbolic_shape=True)
    return path, dict(zip(architecture.signature.inputs, arrays, strict=True))


def make(folder: Path) -> Models:
    """All float networks in a folder."""
    logging.getLogger().setLevel(logging.ERROR)
    wanted = (
        ("cnn", CNN, Probabilities, IMAGES),
        ("encoder", ENCODER, Probabilities, TEXT),
        ("lstm", LSTM, lambda network: network, WINDOW),
        ("gru", GRU, lambda network: network, WINDOW),
        ("mlp", MLP, Probabilities, ROWS),
    )
    for name, config, served, signature in wanted:
        raw = folder / f"{name}.raw.onnx"
        export(served(build(config, seed=0)), list(SAMPLES[name].values()), raw, signature)
        quant_pre_process(raw, folder / f"{name}.onnx", skip_symbolic_shape=True)
    return Models(folder=folder)
