"""A trained network becomes one self-contained ONNX file that takes raw inputs and answers what clients ask for.

Normalisation folds into what it follows here, in torch, because a BatchNormalization left in the graph would keep
quantization from fusing what surrounds it. The file is compared with torch before anyone else sees it.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from service.errors import ArtifactError
from training.data.split import Images
from training.durable import put
from training.session import Arrays, Run, open_runner, open_session
from training.tracing import trace, trace_calls

INPUT = "image"
OUTPUT = "probabilities"
PARITY_BATCHES = (1, 3, 64)
PARITY_TOLERANCE = 1e-4
"""Largest difference in an answer, or share of one beyond 1, that is put down to the order of additions."""

BATCH = ("batch",)
LENGTH = ("batch", "length")


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a file takes and answers: names in order, each with those of its first axes that vary.

    That is the batch, and of texts and series also the length.
    """

    inputs: Mapping[str, tuple[str, ...]]
    outputs: Mapping[str, tuple[str, ...]]

    @property
    def lengthy(self) -> bool:
        """True when a length varies besides the batch."""
        return LENGTH in self.inputs.values()


IMAGES = Signature(inputs={INPUT: BATCH}, outputs={OUTPUT: BATCH})
"""That of an image classifier."""


class Probabilities(nn.Module):
    """A network with its softmax, over `axis` of its logits: what is served of one that tells classes apart."""

    def __init__(self, network: nn.Module, *, axis: int = 1) -> None:
        super().__init__()
        self.network = network
        self._axis = axis

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the network takes, to probabilities float32 of the shape of its logits."""
        return torch.softmax(self.network(inputs), dim=self._axis)


def export(served: nn.Module, samples: Arrays, path: Path, signature: Signature = IMAGES) -> float:
    """Write `served`, a network in the form that is served, to the ONNX file `path`, with the names of `signature`.

    `samples`, an array [N, ...] for each input, are what parity is checked on, at batches of 1, 3 and N, at most 64,
    and where the length varies at two lengths. Returns the largest difference in an answer. Raises ArtifactError if it
    is beyond the tolerance, or a normalisation was left.
    """
    folded = fold(served)
    model = _trace(folded, tuple(torch.from_numpy(array[:2]) for array in samples), signature)
    left = [node.name for node in model.graph.node if node.op_type == "BatchNormalization"]
    if left:
        raise ArtifactError(f"{path.name}: BatchNormalization wasn't folded ({', '.join(left)})")
    put(path, model.SerializeToString(deterministic=True))
    return check_parity(folded, samples, path, signature)


def _trace(served: nn.Module, examples: tuple[torch.Tensor, ...], signature: Signature) -> onnx.ModelProto:
    """Where a length varies a call is recorded, which is what keeps the cells of recurrent networks single nodes."""
    named = {**signature.inputs, **signature.outputs}
    return (trace_calls if signature.lengthy else trace)(
        served,
        examples,
        inputs=list(signature.inputs),
        outputs=list(signature.outputs),
        axes={name: dict(enumerate(varying)) for name, varying in named.items()},
    )


def fold(network: nn.Module) -> nn.Module:
    """A copy of `network` in evaluation mode, every normalisation in a Sequential folded into the layer before it."""
    folded = copy.deepcopy(network).eval()
    for module in folded.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for index in range(len(module) - 1):
            if (fused := _fused(module[index], module[index + 1])) is not None:
                module[index], module[index + 1] = fused, nn.Identity()
    return folded


def _fused(layer: nn.Module, norm: nn.Module) -> nn.Module | None:
    """Both as one layer, or nothing if they aren't a layer and its normalisation."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
        return fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
    if isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
        return fuse_linear_bn_eval(layer, norm)
    return None


def check_parity(served: nn.Module, samples: Arrays, path: Path, signature: Signature = IMAGES) -> float:
    """The largest difference between torch and the file at three batch sizes, and two lengths where that varies.

    Raises ArtifactError if it is large.
    """
    run = open_runner(path)
    worst = 0.0
    for batch in _batches(samples, signature):
        with torch.inference_mode():
            answers = served(*(torch.from_numpy(array) for array in batch))
        expected = [answers] if isinstance(answers, torch.Tensor) else answers
        computed = _computed(run, batch, path, signature)
        for name, one, found in zip(signature.outputs, expected, computed, strict=True):
            apart = difference(f"{path.name}: {name}", one.numpy(), found, len(batch[0]))
            worst = float(np.maximum(worst, apart))  # Python's max would pass over what is no number
    if not worst <= PARITY_TOLERANCE:
        raise ArtifactError(f"{path.name}: differs from the trained network by {worst:.2g} in an answer")
    return worst


def _batches(samples: Arrays, signature: Signature) -> Iterator[Arrays]:
    lengthy = [axes == LENGTH for axes in signature.inputs.values()]
    whole = min((array.shape[1] for array, one in zip(samples, lengthy, strict=True) if one), default=0)
    for size in PARITY_BATCHES:
        for length in {whole, -(-whole // 2)}:
            yield [array[:size, :length] if one else array[:size] for array, one in zip(samples, lengthy, strict=True)]


def _computed(run: Run, batch: Arrays, path: Path, signature: Signature) -> Arrays:
    try:
        return run(batch)
    except Exception as error:
        inputs = zip(signature.inputs, batch, strict=True)
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs)
        raise ArtifactError(f"{path.name}: can't compute {shapes} ({error})") from error


def difference(where: str, expected: NDArray[Any], found: NDArray[Any], size: int) -> float:
    """The largest between numbers, as a share of what is beyond 1. Raises ArtifactError if the shapes differ."""
    if found.shape != expected.shape:
        raise ArtifactError(f"{where}: shape {found.shape} at batch {size}, expected {expected.shape}")
    wanted, got = expected.astype(np.float64), found.astype(np.float64)  # bytes would wrap around
    with np.errstate(invalid="ignore"):  # what is no number is said by whoever compares
        return float((np.abs(got - wanted) / np.maximum(1, np.abs(wanted))).max(initial=0.0))


def agreement(first: Path, second: Path, samples: Images) -> float:
    """The share of `samples` uint8 [N, C, H, W] for which two files find the same class most probable."""
    answers = [open_session(path)(samples).argmax(axis=1) for path in (first, second)]
    return float((answers[0] == answers[1]).mean())
