"""A teacher of each kind of task, something for a student to practise on, and tasks by name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.training.architectures import CLASSES
from training.data.batches import Batch
from training.data.split import NO_TAG, Array, Split
from training.networks.autoencoder import AutoencoderConfig
from training.networks.catalogue import build
from training.networks.decoder import DecoderConfig
from training.networks.depthwise import DepthwiseConfig
from training.networks.detector import DetectorConfig
from training.networks.encoder import EncoderConfig
from training.networks.mlp import MLPConfig
from training.networks.recurrent import RecurrentConfig
from training.networks.resnet import ResNetConfig
from training.networks.unet import UNetConfig
from training.tasks.classification import Classification
from training.tasks.contrastive import Contrastive
from training.tasks.detection import Detection
from training.tasks.next_token import NextToken
from training.tasks.reconstruction import Reconstruction
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation
from training.tasks.tagging import Tagging
from training.tasks.task import Task

ROWS, LENGTH = 32, 8
ENCODER = EncoderConfig(layers=4, width=32, heads=4, dropout=0.0, vocabulary=40, length=LENGTH, classes=CLASSES)
DECODER = DecoderConfig(layers=4, width=32, heads=4, cache_heads=2, context=LENGTH, vocabulary=20)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A task, the configs of a teacher and of its student, and a part to learn from."""

    task: Task
    teacher: Any
    student: Any
    split: Split

    def network(self, config: Any, seed: int) -> nn.Module:
        """One with weights large enough to say something, in evaluation mode."""
        network = build(config, seed).eval()
        if isinstance(config, EncoderConfig | DecoderConfig):
            with torch.no_grad():
                for weights in network.parameters():
                    weights.mul_(4)
        return network

    @property
    def batch(self) -> Batch:
        """The whole part."""
        return Batch(inputs=torch.from_numpy(self.split.inputs), targets=torch.from_numpy(self.split.targets))


def kind(task: Task, teacher: Any, inputs: Array, targets: Array, **smaller: Any) -> Kind:
    split = Split(inputs=inputs, targets=targets, sources=np.arange(len(inputs)))
    return Kind(task=task, teacher=teacher, student=replace(teacher, **smaller), split=split)


def _kinds() -> dict[str, Kind]:
    random = np.random.default_rng(3)
    labels = np.arange(ROWS) % CLASSES
    small = random.integers(0, 256, (ROWS, 1, 8, 8), dtype=np.uint8)
    large = random.integers(0, 256, (ROWS, 1, 16, 16), dtype=np.uint8)
    lengths = np.linspace(2, LENGTH, ROWS).astype(int)
    texts = np.where(np.arange(LENGTH) < lengths[:, None], random.integers(1, 40, (ROWS, LENGTH)), 0)
    tags = np.where((texts == 0) | (texts % 5 == 0), NO_TAG, texts % CLASSES)
    windows = random.integers(0, 20, (ROWS, LENGTH))
    series = random.normal(size=(ROWS, 6, 2)).astype(np.float32)
    values = random.normal(size=(ROWS, 4)).astype(np.float32)
    rows = random.normal(size=(ROWS, 5)).astype(np.float32)
    boxes = np.full((ROWS, 2, 5), -1, dtype=np.float32)
    boxes[:, 0] = [1, 2, 3, 9, 11]
    boxes[::2, 1] = [0, 8, 6, 15, 13]
    resnet = ResNetConfig(widths=(16, 32), blocks=2, classes=CLASSES)
    gru = RecurrentConfig(cell="gru", width=32, layers=2, features=2, outputs=4)
    reader = RecurrentConfig(width=32, vocabulary=40, outputs=CLASSES, each=True, bidirectional=True)
    return {
        "images": kind(Classification(), resnet, small, labels, widths=(8, 16), blocks=1),
        "weighted": kind(
            Classification(class_weights=(0.2, 1.0, 3.0)),
            DepthwiseConfig(widths=(16, 32), blocks=2, classes=CLASSES),
            small,
            labels,
            widths=(8, 16),
            blocks=1,
        ),
        "rows": kind(
            Classification(), MLPConfig(widths=(32, 32), features=5, outputs=CLASSES), rows, labels, widths=(8,)
        ),
        "texts": kind(Classification(), ENCODER, texts, labels, layers=2, width=16, heads=2),
        "tags": kind(Tagging(), replace(ENCODER, head="tokens"), texts, tags, layers=2, width=16, heads=2),
        "read tags": kind(Tagging(), reader, texts, tags, width=16),
        "tokens": kind(
            NextToken(), DECODER, windows, np.roll(windows, -1, 1), layers=2, width=16, heads=2, cache_heads=1
        ),
        "values": kind(Regression(unit=2.0), gru, series, values, width=8, layers=1),
        "huber": kind(Regression(error="huber"), gru, series, values, width=8, layers=1),
        "embeddings": kind(
            Contrastive(), ResNetConfig(widths=(16, 32), embedding=16), small, labels, widths=(8, 16), embedding=8
        ),
        "boxes": kind(
            Detection(), DetectorConfig(widths=(32, 32), boxes=4, classes=2, size=16), large, boxes, widths=(16,)
        ),
        "masks": kind(
            Segmentation(),
            UNetConfig(widths=(16, 32), classes=CLASSES, size=8),
            small,
            (small[:, 0] % CLASSES).astype(np.int64),
            widths=(8, 8),
        ),
        "rebuilt": kind(
            Reconstruction(), AutoencoderConfig(widths=(16, 16), code=16, size=8), small, labels, widths=(8, 8)
        ),
        "rebuilt shares": kind(
            Reconstruction(error="cross_entropy"),
            AutoencoderConfig(widths=(16, 16), code=16, size=8),
            small,
            labels,
            widths=(8, 8),
        ),
    }


KINDS: Mapping[str, Kind] = _kinds()
