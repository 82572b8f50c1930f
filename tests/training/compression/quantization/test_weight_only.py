"""Weight-only quantization: a decoder's weights in few bits."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import onnx
import pytest

from service.errors import ArtifactError
from tests.training.compression.quantization.files import Prepared, architecture
from training.compression.quantization.preparation import prepare
from training.compression.quantization.settings import WeightOnlySettings
from training.compression.quantization.weight_only import weight_only
from training.networks.decoder import DecoderConfig, build
from training.stepwise import export

CONFIG = DecoderConfig(layers=2, width=64, heads=4, context=32, vocabulary=96)


@cache
def decoder() -> Prepared:
    """A step of a decoder, as it is served."""
    folder = Path(mkdtemp())
    ids = np.random.default_rng(0).integers(0, CONFIG.vocabulary, (6, 12))
    export(build(CONFIG, seed=1).eval(), ids, folder / "float.onnx")
    prepare(folder / "float.onnx", folder / "prepared.onnx")
    past, position = np.zeros((6, *CONFIG.cache_shape), np.float32), np.ones((6, 1), np.int64)
    return Prepared(path=folder / "prepared.onnx", samples={"input_ids": ids, "past": past, "position": position})


@pytest.mark.parametrize("bits, error", [(4, 0.3), (8, 0.02)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_decoder_keeps_its_weights_in_few_bits(bits: int, error: float, tmp_path: Path, *, symmetric: bool) -> None:
    """Every product by weights, and none of attention's; the file shrinks and answers."""
    it = decoder()
    settings = WeightOnlySettings(bits=bits, symmetric=symmetric)  # type: ignore[arg-type] # it is one of them
    result = weight_only(it.path, tmp_path / "few.onnx", settings)
    nodes = onnx.load(result.model).graph.node
    assert sum(node.op_type == "MatMulNBits" for node in nodes) == len(result.nodes["MatMul"]) == 11
    assert set(result.left.values()) == {"multiplies two activations"}
    assert result.bytes_after < (0.5 if bits == 4 else 0.6) * result.bytes_before
    assert it.error(result.model) < error


def test_nodes_are_kept_in_float(tmp_path: Path) -> None:
    """By name, as with every method."""
    kept = weight_only(decoder().path, tmp_path / "few.onnx", WeightOnlySettings()).nodes["MatMul"][0]
    result = weight_only(decoder().path, tmp_path / "few.onnx", WeightOnlySettings(), keep_float=[kept])
    assert result.left[kept] == "it was to be kept in float"
    assert kept in {node.name for node in onnx.load(result.model).graph.node if node.op_type == "MatMul"}


def test_a_model_without_such_products_is_refused(tmp_path: Path) -> None:
    """Convolutions are no products of matrices."""
    with pytest.raises(ArtifactError, match="only weights of MatMul nodes are quantized"):
        weight_only(architecture("unet").path, tmp_path / "few.onnx", WeightOnlySettings())


@pytest.mark.parametrize("settings", [{"bits": 3}, {"block_size": 24}, {"block_size": 8}])
def test_unfit_settings_are_refused(settings: dict[str, int]) -> None:
    """The runtime has kernels for a few sizes."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        WeightOnlySettings(**settings)  # type: ignore[arg-type] # that is the point
