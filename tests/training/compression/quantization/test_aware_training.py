"""Quantization-aware training: what a network learns with is what the runtime computes, to the last code."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from torch import nn

from service.errors import ArtifactError
from tests.training.architectures import TEXT
from tests.training.compression.quantization.files import Prepared, architecture, floats, prepared
from training.compression.quantization.aware_training import aware, plain, with_learnt
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.fake_quantization import FakeQuantizedEmbedding, asymmetric, row_codes, symmetric
from training.compression.quantization.post_training import quantize
from training.compression.quantization.preparation import prepare
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.data.batches import Batches
from training.data.split import Dataset
from training.export import INPUT, Probabilities, export
from training.fit import Fit
from training.networks.catalogue import build
from training.networks.encoder import EncoderConfig
from training.networks.resnet import ResNet
from training.optimization.settings import FitSettings
from training.session import Tensors, open_model
from training.tasks.classification import Classification

IMAGES = floats(32, 3, 10, 10)
ROWS = floats(64, 12)
TEXTS = floats(16, 5, 12)


def seeded(network: type[nn.Module], *arguments: Any, **settings: Any) -> nn.Module:
    torch.manual_seed(3)
    return network(*arguments, **settings)


def codes(model: Path, samples: Tensors) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """What integers in a quantized file are for the samples: activations and weights, in the order of the graph.

    As the file is written for the first activation and the weights, as the runtime's kernels give them for the others.
    """
    told = onnx.load(model)
    inside = [node.output[0] for node in told.graph.node if node.op_type == "QuantizeLinear"]
    told.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.UINT8, None) for name in inside)
    session = onnxruntime.InferenceSession(told.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(inside, dict(samples))
    arrays = {one.name: numpy_helper.to_array(one) for one in told.graph.initializer}
    sources = {node.output[0]: node.input[0] for node in told.graph.node if node.op_type == "DequantizeLinear"}
    weights = [arrays[sources[node.input[1]]] for node in told.graph.node if node.op_type == "Conv"]
    return found, weights


def taught(network: nn.Module, samples: NDArray[Any], *, reduce_range: bool = True) -> Any:
    """A network that has seen the samples, and learnt nothing else of them."""
    made = aware(network, reduce_range=reduce_range).train()
    for start in range(0, len(samples), 8):
        made(torch.from_numpy(samples[start : start + 8]))
    return made.eval()


def made_integers(network: nn.Module, samples: NDArray[Any], folder: Path, *, reduce_range: bool = True) -> Prepared:
    """The prepared file of such a network, with the ranges that it has learnt in a file `int8.onnx` beside it."""
    learnt = plain(network)
    it = prepared(network, samples, folder)
    ranges = with_learnt(calibrate(it.path, it.samples, CalibrationSettings()), learnt, it.path)
    static(it.path, folder / "int8.onnx", ranges, reduce_range=reduce_range)
    return it


@pytest.mark.parametrize("reduce_range", [True, False])
@pytest.mark.parametrize(
    "network, samples",
    [
        (seeded(nn.Linear, 12, 7), ROWS),
        (seeded(nn.Linear, 12, 7, bias=False), ROWS),
        (seeded(nn.Linear, 12, 7), TEXTS),
        (seeded(nn.Linear, 12, 7, bias=False), TEXTS),
    ],
)
def test_a_linear_layer_answers_the_bits_of_the_runtime(
    network: nn.Module, samples: NDArray[np.float32], tmp_path: Path, *, reduce_range: bool
) -> None:
    """Its result is a float: a sum of integers, which are all the same, times one scale."""
    it = taught(network, samples, reduce_range=reduce_range)
    expected = it(torch.from_numpy(samples)).detach().numpy()
    file = made_integers(it, samples, tmp_path, reduce_range=reduce_range)
    found = open_model(tmp_path / "int8.onnx")(file.samples)["y"]
    np.testing.assert_array_equal(found, expected)


def test_codes_of_a_table_are_those_of_the_file(tmp_path: Path) -> None:
    """Every one, of small rows and of large ones and of one of zeros; and what is multiplied by them, to the bit."""
    table: Any = seeded(nn.Embedding, 1024, 16, padding_idx=0)
    with torch.no_grad():
        table.weight *= torch.logspace(-3, 1, 1024)[:, None]
    samples = np.random.default_rng(4).integers(0, 1024, (64, 6))
    it = taught(nn.Sequential(table, seeded(nn.Linear, 16, 7)), samples, reduce_range=False)
    given = row_codes(it[0].weight)
    expected = it(torch.from_numpy(samples)).detach().numpy()

    file = made_integers(it, samples, tmp_path, reduce_range=False)
    arrays = [numpy_helper.to_array(one) for one in onnx.load(tmp_path / "int8.onnx").graph.initializer]
    codes_in_file, scales = (next(one for one in arrays if one.shape == shape) for shape in ((1024, 16), (1024, 1)))
    assert np.int8 == codes_in_file.dtype
    np.testing.assert_array_equal(codes_in_file, given.codes.detach().numpy())
    np.testing.assert_array_equal(scales, given.scale.numpy())
    np.testing.assert_array_equal(open_model(tmp_path / "int8.onnx")(file.samples)["y"], expected)


def test_an_encoder_with_a_large_vocabulary_answers_as_it_learns(tmp_path: Path) -> None:
    """Tokens and places are tables of integers in training and in the file; with tables of floats it would be apart."""
    config = EncoderConfig(layers=1, width=32, heads=2, vocabulary=1024, length=512, classes=4)
    ids = np.random.default_rng(4).integers(1, 1024, (16, 24))
    it = taught(build(config, seed=0), ids, reduce_range=False)
    assert [FakeQuantizedEmbedding] * 2 == [type(it.tokens), type(it.places)]
    with torch.inference_mode():
        expected = torch.softmax(it(torch.from_numpy(ids)), dim=1).numpy()
        for table in (it.tokens, it.places):
            table.__class__ = nn.Embedding
        before = torch.softmax(it(torch.from_numpy(ids)), dim=1).numpy()

    learnt = {f"network.{name}": one for name, one in plain(it).items()}
    export(Probabilities(it), [ids], tmp_path / "float.onnx", TEXT)
    prepare(tmp_path / "float.onnx", tmp_path / "prepared.onnx")
    samples = {"input_ids": ids}
    ranges = with_learnt(
        calibrate(tmp_path / "prepared.onnx", samples, CalibrationSettings()), learnt, tmp_path / "prepared.onnx"
    )
    made = static(tmp_path / "prepared.onnx", tmp_path / "int8.onnx", ranges, reduce_range=False)
    assert 2 == len(made.nodes["Gather"])
    found = open_model(tmp_path / "int8.onnx")(samples)["probabilities"]
    apart, without = (float(np.abs(one - found).mean()) for one in (expected, before))
    assert apart < without / 100


def test_tables_that_stay_floats_in_the_file_do_so_in_training() -> None:
    """Small ones, narrow ones, those that are kept, and those that a product reads too."""
    shared: Any = nn.Sequential(nn.Embedding(1024, 16), nn.Linear(16, 1024, bias=False))
    shared[1].weight = shared[0].weight
    for floats_only, kept in (
        (nn.Sequential(nn.Embedding(64, 16)), ()),
        (nn.Sequential(nn.Embedding(4096, 8)), ()),
        (nn.Sequential(nn.Embedding(1024, 16)), ("0",)),
        (shared, ()),
    ):
        assert type(next(aware(floats_only, keep_float=kept).children())) is nn.Embedding
    network: Any = aware(nn.Sequential(nn.Embedding(1024, 16)))
    assert type(network[0]) is FakeQuantizedEmbedding
    assert not plain(network)
    assert type(network[0]) is nn.Embedding


def test_rounding_of_a_table_is_passed_over_backwards() -> None:
    """Rows that are picked learn as they do in floats, and others nothing."""
    network: Any = aware(nn.Sequential(seeded(nn.Embedding, 1024, 16)))
    network(torch.tensor([[3, 5, 3]])).sum().backward()
    gradient = network[0].weight.grad
    torch.testing.assert_close(gradient[[3, 5]], torch.tensor([[2.0], [1.0]]).expand(2, 16))
    assert 2 == (gradient != 0).any(dim=1).sum()


@pytest.mark.parametrize("reduce_range", [True, False])
@pytest.mark.parametrize(
    "settings", [{}, {"stride": 2, "padding": 1}, {"groups": 4}, {"bias": False}, {"dilation": 2, "padding": 2}]
)
def test_codes_are_those_of_the_runtime(settings: dict[str, Any], tmp_path: Path, *, reduce_range: bool) -> None:
    """Of what goes in, of the weights, and of what comes out of an integer convolution and its ReLU: every one."""
    first, second = seeded(nn.Conv2d, 3, 8, 3), seeded(nn.Conv2d, 8, 8, 3, **settings)
    network = taught(nn.Sequential(first, nn.ReLU(), second), IMAGES, reduce_range=reduce_range)
    images = torch.from_numpy(IMAGES)
    given = network[0].input_range(images)
    between = network[2].input_range(network[1](network[0](images)))
    zeros = [asymmetric(network[at].input_range.low, network[at].input_range.high)[1] for at in (0, 2)]
    weights = [symmetric(network[at].weight, reduce_range=reduce_range).codes for at in (0, 2)]

    it = made_integers(network, IMAGES, tmp_path, reduce_range=reduce_range)
    found, in_file = codes(tmp_path / "int8.onnx", it.samples)
    np.testing.assert_array_equal(found[0], (given.codes + zeros[0]).numpy())
    np.testing.assert_array_equal(found[1], (between.codes + zeros[1]).detach().numpy())
    for codes_in_file, expected in zip(in_file, weights, strict=True):
        np.testing.assert_array_equal(codes_in_file, expected.detach().numpy())


@pytest.mark.parametrize("pool, size", [(nn.MaxPool2d(4), 32), (nn.AdaptiveAvgPool2d(1), 8)])
def test_codes_behind_a_pool_are_those_of_the_runtime(pool: nn.Module, size: int, tmp_path: Path) -> None:
    """A layer's range is that of what is passed on to it: integers that are only moved keep their scale.

    Of means of what was rounded already a code may be off by one.
    """
    layers = seeded(nn.Conv2d, 3, 8, 3), nn.ReLU(), pool, nn.Flatten(), seeded(nn.Linear, size, 5)
    network = taught(nn.Sequential(*layers), IMAGES)
    before = network[:4](torch.from_numpy(IMAGES))
    given = network[4].input_range(before).codes.detach().numpy()
    scale, zero = asymmetric(network[4].input_range.low, network[4].input_range.high)

    it = made_integers(network, IMAGES, tmp_path)
    found, _ = codes(tmp_path / "int8.onnx", it.samples)
    assert np.abs(found[-1].astype(int) - (given + int(zero))).max() <= (0 if isinstance(pool, nn.MaxPool2d) else 1)
    told = onnx.load(tmp_path / "int8.onnx").graph
    arrays = {one.name: numpy_helper.to_array(one) for one in told.initializer}
    (head,) = [node for node in told.node if node.op_type == "Gemm"]
    (last,) = [node for node in told.node if node.output[0] == head.input[0]]
    assert arrays[last.input[1]].item() == scale.item()
    assert arrays[last.input[2]].item() == zero.item()


def test_training_learns_the_range_and_evaluation_keeps_it() -> None:
    """A moving average that begins with the first batch."""
    network: Any = aware(nn.Sequential(seeded(nn.Linear, 2, 2)))
    network.train()
    network(torch.tensor([[0.0, 10.0]]))
    assert network[0].input_range.learnt == (0, 10)
    network(torch.tensor([[-1.0, 20.0]]))
    assert network[0].input_range.learnt == pytest.approx((-0.1, 11))
    network.eval()(torch.tensor([[-100.0, 100.0]]))
    assert network[0].input_range.learnt == pytest.approx((-0.1, 11))


def test_what_lies_in_the_range_learns_and_what_lies_beyond_does_not() -> None:
    """Rounding is passed over backwards: the gradient is that of the float layer, but for the weights' rounding."""
    network = taught(nn.Sequential(seeded(nn.Linear, 2, 1)), np.array([[-1, 1], [1, -1]] * 4, np.float32))
    inputs = torch.tensor([[0.3, 5.0]], requires_grad=True)
    network(inputs).sum().backward()
    assert inputs.grad is not None
    assert inputs.grad[0, 0].item() == pytest.approx(network[0].weight[0, 0].item(), abs=0.02)
    assert inputs.grad[0, 1].item() == 0
    assert network[0].weight.grad[0, 0].item() == pytest.approx(0.3, abs=0.01)


def test_layers_are_kept_in_float_by_name() -> None:
    """Others aren't."""
    network: Any = aware(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), keep_float=["1"])
    assert not hasattr(network[1], "input_range")
    assert list(plain(network)) == ["0"]
    assert type(network[0]) is nn.Linear


def test_modules_that_the_file_does_not_have_are_named() -> None:
    """Ranges of another network are no ranges."""
    it = architecture("mlp")
    with pytest.raises(ArtifactError, match="has no product of the modules tail"):
        with_learnt({}, {"network.head": (0, 1), "tail": (0, 1)}, it.path)


def test_a_network_is_fitted_with_its_integers(
    trained: ResNet, teacher: Path, dataset: Dataset, tmp_path: Path
) -> None:
    """By the loop and the task that it was fitted with before: of a real network, whose float weights are the best
    there are, the integers agree with torch, and lose no more than those of a network that never saw them.
    """
    network = aware(trained)
    batches = Batches(dataset.train, size=64, transforms=[], seed=2)
    settings = FitSettings(epochs=1, learning_rate=1e-4, warmup=0.1)
    Fit(network, Classification(), batches, dataset.validation, settings).run(tmp_path, Console(file=StringIO()))
    images = dataset.validation.inputs
    with torch.inference_mode():
        expected = torch.softmax(network(torch.from_numpy(images)), dim=1).numpy()

    learnt = plain(network)
    export(Probabilities(network), [images], tmp_path / "float.onnx")
    prepare(tmp_path / "float.onnx", tmp_path / "prepared.onnx")
    samples = {INPUT: dataset.train.inputs[:128]}
    ranges = calibrate(tmp_path / "prepared.onnx", samples, CalibrationSettings())
    ranges = with_learnt(ranges, {f"network.{name}": one for name, one in learnt.items()}, tmp_path / "prepared.onnx")
    static(tmp_path / "prepared.onnx", tmp_path / "int8.onnx", ranges)
    found = open_model(tmp_path / "int8.onnx")({INPUT: images})["probabilities"]
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.97

    quantize(teacher, tmp_path / "before.onnx", samples, CalibrationSettings())
    before = open_model(tmp_path / "before.onnx")({INPUT: images})["probabilities"]
    right = [(answers.argmax(axis=1) == dataset.validation.targets).mean() for answers in (found, before)]
    assert right[0] > right[1] - 0.03
