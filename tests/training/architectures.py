"""A small network of each architecture, something for it to learn by heart, and the form in which it is served."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.export import BATCH, IMAGES, LENGTH, Probabilities, Signature
from training.networks.autoencoder import AutoencoderConfig
from training.networks.catalogue import build
from training.networks.depthwise import DepthwiseConfig
from training.networks.detector import Boxes, DetectorConfig, distances
from training.networks.encoder import EncoderConfig
from training.networks.gan import GANConfig
from training.networks.mlp import MLPConfig
from training.networks.recurrent import RecurrentConfig, Steps
from training.networks.resnet import ResNetConfig
from training.networks.unet import UNetConfig
from training.networks.variational import VariationalConfig

ROWS = 8
CLASSES = 3
RANDOM = np.random.default_rng(7)

Loss = Callable[[Any, torch.Tensor], torch.Tensor]


def pixels(size: int = 16, channels: int = 1) -> torch.Tensor:
    return torch.from_numpy(RANDOM.integers(0, 256, (ROWS, channels, size, size), dtype=np.uint8))


def floats(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RANDOM.normal(size=(ROWS, *shape)).astype(np.float32))


def texts(length: int = 12, vocabulary: int = 40) -> torch.Tensor:
    """Ids int64 [N, T], each text of another length and padded with zeros; the last is as long as may be."""
    ids = RANDOM.integers(1, vocabulary, (ROWS, length))
    lengths = np.linspace(2, length, ROWS).astype(int)
    return torch.from_numpy(np.where(np.arange(length) < lengths[:, None], ids, 0))


def labels(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RANDOM.integers(0, CLASSES, (ROWS, *shape)))


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A config, a batch, what is to be learnt of it, and what clients would be served under which names."""

    config: Any
    inputs: torch.Tensor
    loss: Loss
    served: Callable[[Any], nn.Module] = Probabilities
    signature: Signature = IMAGES
    other: tuple[torch.Tensor, ...] = ()
    """What the served form takes, if it isn't what the network learns from."""

    @property
    def asked(self) -> tuple[torch.Tensor, ...]:
        """What the served form takes."""
        return self.other or (self.inputs,)


def telling_apart(targets: torch.Tensor) -> Loss:
    """Cross entropy; logits of a token or step are on the last axis, of a pixel on the second."""

    def loss(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        logits = network(inputs)
        if logits.dim() == 3:
            logits = logits.transpose(1, 2)
        return functional.cross_entropy(logits, targets)

    return loss


def close_to(targets: torch.Tensor) -> Loss:
    return lambda network, inputs: functional.mse_loss(network(inputs), targets)


def alike(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Unit vectors that should be apart by right angles."""
    found: torch.Tensor = network(inputs)
    return functional.mse_loss(found @ found.T, torch.eye(ROWS))


def rebuilt(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(network(images), images / 255)


def drawn(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The evidence's lower bound, but for constants, for one draw of noise."""
    found = network(images, NOISE)
    divergence = (found.mean**2 + found.log_variance.exp() - 1 - found.log_variance).mean()
    loss: torch.Tensor = functional.mse_loss(found.pixels, images / 255) + 1e-4 * divergence
    return loss


def played(network: Any, images: torch.Tensor) -> torch.Tensor:
    """Both at once, but not against each other: one imitates, the other tells images from their negatives."""
    real, made = images / 255, network(NOISE)
    logits = network.discriminator(torch.cat([real, 1 - real]))
    truth = torch.arange(2 * ROWS) < ROWS
    return functional.binary_cross_entropy_with_logits(logits, truth.float()) + functional.mse_loss(made, real)


def pointed_at(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """A centre in each image, whose object is 12 x 8 pixels large and lies a pixel below and right of its cell's."""
    maps = network(images)
    heat = torch.zeros_like(maps.heat)
    row = torch.arange(ROWS)
    heat[row, row % CLASSES, 1 + row % 5, 4] = 1
    found = distances(maps.sides[row, :, 1 + row % 5, 4])
    loss = functional.binary_cross_entropy_with_logits(maps.heat, heat) * heat[0].numel()
    return loss + functional.l1_loss(found, torch.tensor([5.0, 3.0, 7.0, 5.0]).expand(ROWS, 4)) / 4


def itself(network: nn.Module) -> nn.Module:
    return network


NOISE = floats(6)
ROW = Signature(inputs={"row": BATCH}, outputs={"probabilities": BATCH})
WINDOW = Signature(inputs={"window": LENGTH}, outputs={"values": BATCH})
EACH = Signature(inputs={"window": LENGTH}, outputs={"values": LENGTH})
TEXT = Signature(inputs={"input_ids": LENGTH}, outputs={"probabilities": BATCH})
TOKENS = Signature(inputs={"input_ids": LENGTH}, outputs={"probabilities": LENGTH})
EMBEDDED = Signature(inputs={"image": BATCH}, outputs={"embedding": BATCH})
STEP = Signature(inputs={"window": LENGTH, "state": BATCH}, outputs={"values": LENGTH, "state_out": BATCH})
MADE = Signature(inputs={"noise": BATCH}, outputs={"pixels": BATCH})

MLP = MLPConfig(widths=(32, 16), features=5, outputs=CLASSES, mean=(0.1,) * 5, deviation=(2.0,) * 5)
SERIES = RecurrentConfig(
    width=16, features=2, outputs=4, mean=(0.5,), deviation=(2.0,), target_mean=(1.0,), target_deviation=(3.0,)
)
READER = RecurrentConfig(width=16, vocabulary=40, outputs=CLASSES)
ENCODER = EncoderConfig(layers=2, width=16, heads=2, dropout=0.0, vocabulary=40, length=12, classes=CLASSES)


def mlp(config: MLPConfig) -> Architecture:
    return Architecture(config=config, inputs=floats(5), loss=telling_apart(labels()), signature=ROW)


def classifier(config: Any) -> Architecture:
    return Architecture(config=config, inputs=pixels(), loss=telling_apart(labels()))


def embedder(config: Any) -> Architecture:
    return Architecture(config=config, inputs=pixels(), loss=alike, served=itself, signature=EMBEDDED)


def series(config: RecurrentConfig) -> Architecture:
    targets = floats(6, 4) if config.each else floats(4)
    signature = EACH if config.each else WINDOW
    return Architecture(config=config, inputs=floats(6, 2), loss=close_to(targets), served=itself, signature=signature)


def reader(config: Any) -> Architecture:
    return Architecture(config=config, inputs=texts(), loss=telling_apart(labels()), signature=TEXT)


def tagger(config: Any) -> Architecture:
    ids = texts()
    loss = telling_apart(torch.where(ids != 0, labels(12), -100))
    served = partial(Probabilities, axis=2)
    return Architecture(config=config, inputs=ids, loss=loss, served=served, signature=TOKENS)


def stepwise(config: RecurrentConfig) -> Architecture:
    other = (floats(6, 2), floats(*config.state_shape))
    return replace(series(config), served=Steps, signature=STEP, other=other)


ARCHITECTURES: Mapping[str, Architecture] = {
    "mlp": mlp(MLP),
    "mlp with batch normalisation": mlp(replace(MLP, norm="batch", activation="gelu")),
    "mlp with layer normalisation": mlp(replace(MLP, norm="layer", activation="tanh")),
    "mlp of sigmoids": mlp(replace(MLP, activation="sigmoid")),
    "resnet that embeds": embedder(ResNetConfig(widths=(8, 16), embedding=8)),
    "depthwise": classifier(DepthwiseConfig(widths=(8, 16), blocks=2, classes=CLASSES)),
    "depthwise that embeds": embedder(DepthwiseConfig(widths=(8, 16), blocks=1, embedding=8)),
    "rnn": series(replace(SERIES, cell="rnn")),
    "lstm": series(SERIES),
    "gru": series(replace(SERIES, cell="gru", layers=2)),
    "rnn both ways": series(replace(SERIES, cell="rnn", bidirectional=True)),
    "lstm both ways": series(replace(SERIES, bidirectional=True, layers=2)),
    "gru both ways": series(replace(SERIES, cell="gru", bidirectional=True, each=True)),
    "rnn by steps": stepwise(replace(SERIES, cell="rnn")),
    "lstm by steps": stepwise(replace(SERIES, layers=2)),
    "gru by steps": stepwise(replace(SERIES, cell="gru", each=True)),
    "lstm that reads": reader(READER),
    "gru that reads both ways": reader(replace(READER, cell="gru", bidirectional=True, layers=2)),
    "lstm that tags": tagger(replace(READER, bidirectional=True, each=True)),
    "encoder": reader(ENCODER),
    "encoder that tags": tagger(replace(ENCODER, head="tokens")),
    "encoder with rotary places": tagger(replace(ENCODER, head="tokens", places="rotary")),
    "encoder, half of it without a feed-forward part": reader(replace(ENCODER, feeds=(16, 0))),
    "encoder that embeds": Architecture(
        config=replace(ENCODER, head="embedding"),
        inputs=texts(),
        loss=alike,
        served=itself,
        signature=Signature(inputs={"input_ids": LENGTH}, outputs={"embedding": BATCH}),
    ),
    "autoencoder": Architecture(
        config=AutoencoderConfig(widths=(16, 16), code=16, channels=3),
        inputs=pixels(channels=3),
        loss=rebuilt,
        served=itself,
        signature=Signature(inputs={"image": BATCH}, outputs={"pixels": BATCH}),
    ),
    "variational": Architecture(
        config=VariationalConfig(widths=(16, 16), code=6),
        inputs=pixels(),
        loss=drawn,
        served=attrgetter("decoder"),
        signature=MADE,
        other=(NOISE,),
    ),
    "gan": Architecture(
        config=GANConfig(width=8, code=6, size=32),
        inputs=pixels(32),
        loss=played,
        served=attrgetter("generator"),
        signature=MADE,
        other=(NOISE,),
    ),
    "detector": Architecture(
        config=DetectorConfig(widths=(16, 16), boxes=4, classes=CLASSES, size=32),
        inputs=pixels(32),
        loss=pointed_at,
        served=Boxes,
        signature=Signature(inputs={"image": BATCH}, outputs={"boxes": BATCH}),
    ),
    "unet": Architecture(
        config=UNetConfig(widths=(8, 16, 16), classes=CLASSES, size=16),
        inputs=pixels(),
        loss=telling_apart(labels(16, 16)),
    ),
}


def learning(network: nn.Module, architecture: Architecture) -> Iterator[float]:
    """The loss before each step that `network` takes on the architecture's batch, for as long as one wants."""
    optimizer = torch.optim.Adam(network.train().parameters(), lr=0.01)
    while True:
        optimizer.zero_grad()
        loss = architecture.loss(network, architecture.inputs)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
        yield float(loss.detach())


def learned(architecture: Architecture, steps: int) -> nn.Module:
    """A network after these many steps, in evaluation mode."""
    network = build(architecture.config, seed=1)
    list(islice(learning(network, architecture), steps))
    return network.eval()


def answers(network: nn.Module, architecture: Architecture) -> tuple[torch.Tensor, ...]:
    """What the served form answers to what it is asked."""
    with torch.inference_mode():
        found = architecture.served(network)(*architecture.asked)
    return (found,) if isinstance(found, torch.Tensor) else tuple(found)
