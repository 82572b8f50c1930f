"""Networks for GPUs, in float16: they take pixels or tokens and answer float32. Imports torch, as `networks` does."""

import torch
from torch import nn
from transformers import BertConfig, ResNetConfig

from loadtests.workloads.networks import Encoder, Pixels, export


class Half(nn.Module):
    """A network whose weights and computing are float16, and whose answer is float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The network's answer."""
        answer: torch.Tensor = self.network(tokens).float()
        return answer


class HalfPixels(nn.Module):
    """A network for images in float16 behind the normalisation of uint8 pixels, which stays float32."""

    def __init__(self, network: Pixels) -> None:
        super().__init__()
        self.mean, self.deviation = network.mean, network.deviation
        self.images = Half(network.images)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of uint8 [N, 3, H, W]."""
        logits: torch.Tensor = self.images(((image.float() - self.mean) / self.deviation).half())
        return logits


def resnet50() -> bytes:
    """G1: ResNet-50, `image` uint8 [N, 3, 224, 224] to `logits` float32 [N, 1000]."""
    config = ResNetConfig(num_labels=1000)
    example = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    return export(lambda: HalfPixels(Pixels(config)), example, "image", "logits")


def bert_base(length: int) -> bytes:
    """G2: BERT-base, `input_ids` int64 [N, length] to `pooled` float32 [N, 768]."""
    config = BertConfig(attn_implementation="eager")
    return export(lambda: Half(Encoder(config)), torch.ones(2, length, dtype=torch.int64), "input_ids", "pooled")
