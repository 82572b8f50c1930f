"""Export: what the ONNX file holds, and that it answers as the network does."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from service.errors import ArtifactError
from training.data.split import Dataset
from training.export import Probabilities, check_parity, export, fold
from training.networks.resnet import ResNet, build
from training.session import open_session


class LateNorm(nn.Module):
    """A network whose normalisation follows no convolution, so that it can't be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.head = nn.Linear(256, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, 1, 16, 16] to [N, 10]."""
        logits: torch.Tensor = self.head(self.norm(images.float()).relu().flatten(1))
        return logits


class FrozenBatch(nn.Module):
    """Agrees with the file at batch 1 and answers one row at any other."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._predict = open_session(path)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, 1, 16, 16] to [1, 10]."""
        return torch.from_numpy(self._predict(images.numpy())[:1])


class Lost(nn.Module):
    """Answers what is no number."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, 1, 16, 16] to [N, 10]."""
        return torch.full((len(images), 10), torch.nan)


class Hyperbolic(nn.Module):
    """Has an operator that only torch.export has a form for."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """[N, 1, 16, 16] to [N, 256]."""
        return torch.sinh(images.float().flatten(1) / 255)


@pytest.mark.parametrize("size", [1, 5, 64])
def test_the_file_answers_as_the_network(trained: ResNet, teacher: Path, dataset: Dataset, size: int) -> None:
    """Probabilities of raw test pixels agree with torch at any batch size, and sum to one."""
    images = dataset.test.inputs[:size]
    with torch.inference_mode():
        expected = torch.softmax(trained(torch.from_numpy(images)), dim=1).numpy()
    found = open_session(teacher)(images)
    assert np.allclose(found, expected, atol=1e-5)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)


def test_no_normalisation_is_left(teacher: Path) -> None:
    """Every BatchNormalization was folded into its convolution."""
    operators = {node.op_type for node in onnx.load(teacher).graph.node}
    assert "Conv" in operators
    assert "BatchNormalization" not in operators


def test_folding_changes_no_answer_and_not_the_network(trained: ResNet, dataset: Dataset) -> None:
    """The folded copy answers the same, and the network it was made from keeps its normalisation."""
    images = torch.from_numpy(dataset.test.inputs[:8])
    with torch.inference_mode():
        assert torch.allclose(fold(trained)(images), trained(images), atol=1e-4)
    assert any(isinstance(module, nn.BatchNorm2d) for module in trained.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fold(trained).modules())


@pytest.mark.parametrize(
    "layer,norm,shape",
    [
        (nn.Linear(3, 4), nn.BatchNorm1d(4), (5, 3)),
        (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), (5, 3, 6, 6)),
        (nn.ConvTranspose2d(3, 4, 4, stride=2, bias=False), nn.BatchNorm2d(4), (5, 3, 6, 6)),
    ],
    ids=["linear", "convolution", "transposed convolution"],
)
def test_a_normalisation_is_folded_into_any_layer(layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]) -> None:
    """Whatever it has seen, the layer before it computes both."""
    network = nn.Sequential(layer, norm)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 3 + 1
    with torch.no_grad():
        network(inputs)  # it sees something, and isn't what it was at first
        folded = fold(network)
        assert torch.allclose(network.eval()(inputs), folded(inputs), atol=1e-5)
    assert [type(layer), nn.Identity] == [type(one) for one in folded.children()]


def test_the_signature_is_the_contract(teacher: Path) -> None:
    """Clients send `image` UINT8 [-1, 1, 16, 16] and get `probabilities` FP32 [-1, 10]."""
    graph = onnx.load(teacher).graph
    signature = {
        value.name: (
            value.type.tensor_type.elem_type,
            [dim.dim_value or -1 for dim in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    }
    assert signature == {
        "image": (onnx.TensorProto.UINT8, [-1, 1, 16, 16]),
        "probabilities": (onnx.TensorProto.FLOAT, [-1, 10]),
    }


def test_the_file_is_self_contained_and_tells_nothing_of_the_machine(teacher: Path) -> None:
    """No tensor lies in another file, and no source path or stack of the exporting program is inside."""
    model = onnx.load(teacher, load_external_data=False)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert [path.name for path in teacher.parent.iterdir()] == [teacher.name]
    assert b".py" not in teacher.read_bytes()
    assert str(Path.cwd()).encode() not in teacher.read_bytes()


def test_a_file_that_differs_is_refused(trained: ResNet, teacher: Path, dataset: Dataset) -> None:
    """A file that doesn't answer as the network it is said to be is refused, naming the file."""
    other = Probabilities(fold(build(trained.config, seed=9)))
    with pytest.raises(ArtifactError, match=r"^model\.onnx: differs"):
        check_parity(other, [dataset.test.inputs], teacher)


def test_what_is_no_number_is_refused(teacher: Path, dataset: Dataset) -> None:
    """A difference that can't be computed isn't none."""
    with pytest.raises(ArtifactError, match=r"^model\.onnx: differs from the trained network by nan"):
        check_parity(Lost(), [dataset.test.inputs], teacher)


def test_a_normalisation_that_cannot_be_folded_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    """A graph in which one would be left isn't written."""
    with pytest.raises(ArtifactError, match="BatchNormalization wasn't folded"):
        export(LateNorm(), [dataset.test.inputs], tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_batch_axis_that_froze_is_refused(teacher: Path, dataset: Dataset) -> None:
    """Parity is checked at several batch sizes: an answer of another shape is refused."""
    with pytest.raises(ArtifactError, match=r"shape .* at batch 3"):
        check_parity(FrozenBatch(teacher), [dataset.test.inputs], teacher)


def test_what_cannot_be_recorded_is_exported_otherwise(dataset: Dataset, tmp_path: Path) -> None:
    """An operator that the recorder lacks costs time, not the file."""
    assert export(Hyperbolic(), [dataset.test.inputs], tmp_path / "model.onnx") < 1e-5
