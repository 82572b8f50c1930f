"""The networks of W2 to W5, made from transformers' configurations with random weights by seed, exported to ONNX.

Importing this file imports torch and transformers: `workloads/cache.py` does so in a process of its own.
"""

import logging
import warnings
from collections.abc import Callable

import onnx
import torch
from torch import nn
from transformers import BertConfig, BertModel, ResNetConfig, ResNetForImageClassification

OPSET = 20
IR_VERSION = 10
SEED = 1
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Images(nn.Module):
    """A ResNet from transformers: float32 [N, 3, H, W] to logits [N, classes]."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.network = ResNetForImageClassification(config)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits."""
        logits: torch.Tensor = self.network(image).logits
        return logits


class Pixels(nn.Module):
    """The same for uint8 pixels: their normalisation (ImageNet's mean and deviation) is part of the graph."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.images = Images(config)
        self.mean = nn.Buffer(torch.tensor(MEAN).reshape(1, 3, 1, 1) * 255)
        self.deviation = nn.Buffer(torch.tensor(DEVIATION).reshape(1, 3, 1, 1) * 255)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of uint8 [N, 3, H, W]."""
        logits: torch.Tensor = self.images((image.float() - self.mean) / self.deviation)
        return logits


class Encoder(nn.Module):
    """A BERT encoder, mean-pooled: token ids int64 [N, length] to one vector [N, hidden] each."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.network = BertModel(config, add_pooling_layer=False)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """The mean of the last hidden states over the tokens."""
        pooled: torch.Tensor = self.network(input_ids=input_ids).last_hidden_state.mean(dim=1)
        return pooled


def small_images() -> bytes:
    """W2: a small residual network, `image` float32 [N, 3, 32, 32] to `logits` [N, 10]."""
    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64], depths=[1, 1, 1], layer_type="basic", num_labels=10
    )
    return export(lambda: Images(config), torch.zeros(2, 3, 32, 32), "image", "logits")


def resnet18() -> bytes:
    """W4: ResNet-18, `image` float32 [N, 3, 224, 224] to `logits` [N, 1000]."""
    return export(lambda: Images(_resnet18()), torch.zeros(2, 3, 224, 224), "image", "logits")


def resnet18_of_pixels() -> bytes:
    """W4 with uint8 pixels."""
    return export(lambda: Pixels(_resnet18()), torch.zeros(2, 3, 224, 224, dtype=torch.uint8), "image", "logits")


def encoder(length: int) -> bytes:
    """W3 and W5: six layers of 384, `input_ids` int64 [N, length] to `pooled` [N, 384]."""
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        attn_implementation="eager",
    )
    return export(lambda: Encoder(config), torch.ones(2, length, dtype=torch.int64), "input_ids", "pooled")


def _resnet18() -> ResNetConfig:
    return ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        num_labels=1000,
    )


def export(make: Callable[[], nn.Module], example: torch.Tensor, name: str, output: str) -> bytes:
    """The network as a self-contained ONNX file with a dynamic batch and everything else fixed."""
    torch.manual_seed(SEED)
    network = make().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's about its own dependencies
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            (example,),
            input_names=[name],
            output_names=[output],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)
