"""A trained network becomes one self-contained ONNX file that takes raw pixels and answers probabilities.

Normalisation folds into the convolutions here, in torch, because a BatchNormalization left in the graph would keep
quantization from fusing what surrounds it. The file is compared with torch before anyone else sees it.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from service.errors import ArtifactError
from training.data.split import Images
from training.session import open_session
from training.tracing import trace

INPUT = "image"
OUTPUT = "probabilities"
PARITY_BATCHES = (1, 3, 64)
PARITY_TOLERANCE = 1e-4
"""Largest difference in a probability that is put down to the order of additions."""


class Probabilities(nn.Module):
    """A network with its softmax: what is served."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, C, H, W] to probabilities float32 [N, classes]."""
        return torch.softmax(self.network(image), dim=1)


def export(network: nn.Module, samples: Images, path: Path) -> float:
    """Write `network` to the ONNX file `path`: input `image` UINT8 [-1, C, H, W], output `probabilities` [-1, classes].

    `samples` uint8 [N, C, H, W], N >= 64, are what parity is checked on, at three batch sizes. Returns the largest
    difference in a probability. Raises ArtifactError if it is beyond the tolerance, or a normalisation was left.
    """
    served = Probabilities(fold(network)).eval()
    model = trace(
        served,
        (torch.from_numpy(samples[:2]),),
        inputs=[INPUT],
        outputs=[OUTPUT],
        dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
    )
    left = [node.name for node in model.graph.node if node.op_type == "BatchNormalization"]
    if left:
        raise ArtifactError(f"{path.name}: BatchNormalization wasn't folded ({', '.join(left)})")
    path.write_bytes(model.SerializeToString(deterministic=True))
    return check_parity(served, samples, path)


def fold(network: nn.Module) -> nn.Module:
    """A copy of `network` in evaluation mode, every Conv2d + BatchNorm2d pair of a Sequential made one convolution."""
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            first, second = module[index], module[index + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[index], module[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    return folded


def check_parity(served: nn.Module, samples: Images, path: Path) -> float:
    """The largest difference between torch and the file at three batch sizes. Raises ArtifactError if it is large."""
    session = open_session(path)
    worst = 0.0
    for size in PARITY_BATCHES:
        batch = samples[:size]
        with torch.inference_mode():
            expected = served(torch.from_numpy(batch)).numpy()
        found = session(batch)
        if found.shape != expected.shape:
            raise ArtifactError(f"{path.name}: shape {found.shape} at batch {size}, expected {expected.shape}")
        worst = max(worst, float(np.abs(found - expected).max()))
    if not worst <= PARITY_TOLERANCE:
        raise ArtifactError(f"{path.name}: differs from the trained network by {worst:.2g} in a probability")
    return worst


def agreement(first: Path, second: Path, samples: Images) -> float:
    """The share of `samples` uint8 [N, C, H, W] for which two files find the same class most probable."""
    answers = [open_session(path)(samples).argmax(axis=1) for path in (first, second)]
    return float((answers[0] == answers[1]).mean())
