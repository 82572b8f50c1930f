"""What holds for every architecture: built from a config and a seed, it learns, wherever its weights are."""

import json
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.architectures import ARCHITECTURES, Architecture, answers, learned, learning
from training.networks.autoencoder import AutoencoderConfig
from training.networks.catalogue import build, config_of, kind_of
from training.networks.depthwise import DepthwiseConfig
from training.networks.detector import DetectorConfig
from training.networks.encoder import EncoderConfig
from training.networks.gan import GANConfig
from training.networks.mlp import MLPConfig
from training.networks.recurrent import RecurrentConfig
from training.networks.resnet import ResNetConfig
from training.networks.unet import UNetConfig
from training.networks.variational import VariationalConfig

STEPS = 60
PACKED = {"lstm that reads", "gru that reads both ways", "lstm that tags"}
"""Their texts' lengths are wanted on the CPU."""

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)


@each_architecture
def test_one_batch_is_learnt_by_heart(architecture: Architecture) -> None:
    """The loss on one batch halves within some steps."""
    losses = learning(build(architecture.config, seed=1), architecture)
    first = next(losses)
    assert any(loss < first / 2 for loss in islice(losses, STEPS))


@each_architecture
def test_every_weight_learns(architecture: Architecture) -> None:
    """Each parameter gets a gradient from the first batch on, none of them zero throughout."""
    network = learned(architecture, 1)
    gone = [name for name, weights in network.named_parameters() if weights.grad is None or not weights.grad.any()]
    assert [] == gone


@each_architecture
def test_a_network_is_rebuilt_from_its_config(architecture: Architecture) -> None:
    """With the config as JSON and the weights, another network gives the same answers."""
    network = learned(architecture, 2)
    config = json.loads(json.dumps(asdict(architecture.config)))
    again = build(config_of(kind_of(architecture.config), config), seed=2).eval()
    again.load_state_dict(network.state_dict())
    for expected, found in zip(answers(network, architecture), answers(again, architecture), strict=True):
        assert torch.equal(expected, found)


@each_architecture
def test_a_seed_gives_the_same_weights(architecture: Architecture) -> None:
    """Weights depend on config and seed alone, and drawing them leaves torch's own chance as it was."""
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    first, again, other = (build(architecture.config, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in PACKED])
def test_a_network_computes_where_its_weights_are(name: str) -> None:
    """No tensor is made elsewhere: on a device that isn't the CPU, be it one without data, nothing is missing."""
    architecture = ARCHITECTURES[name]
    served = architecture.served(build(architecture.config, seed=1).to("meta").eval())
    found = served(*(tensor.to("meta") for tensor in architecture.asked))
    assert {"meta"} == {one.device.type for one in ([found] if isinstance(found, torch.Tensor) else found)}


@pytest.mark.parametrize(
    "config,shape,answer",
    [
        (MLPConfig(features=64, outputs=10), (3, 1, 8, 8), (3, 10)),
        (MLPConfig(widths=(), features=4), (3, 4), (3, 1)),
        (ResNetConfig(widths=(8, 8), channels=3, classes=4), (2, 3, 9, 12), (2, 4)),
        (ResNetConfig(widths=(8, 8), embedding=6), (2, 1, 8, 8), (2, 6)),
        (DepthwiseConfig(widths=(8, 8, 8), channels=3, classes=4), (2, 3, 9, 12), (2, 4)),
        (DepthwiseConfig(widths=(8,), embedding=6), (2, 1, 8, 8), (2, 6)),
        (AutoencoderConfig(widths=(8, 8, 8), channels=3, size=24), (2, 3, 24, 24), (2, 3, 24, 24)),
        (UNetConfig(widths=(8, 8), classes=5, size=10), (2, 1, 10, 10), (2, 5, 10, 10)),
        (UNetConfig(widths=(8,), channels=3, size=7), (2, 3, 7, 7), (2, 2, 7, 7)),
    ],
)
def test_pixels_become_answers(config: Any, shape: tuple[int, ...], answer: tuple[int, ...]) -> None:
    """Raw pixels of the shape that the config says, to answers of the shape that the docstring says."""
    network = build(config, seed=1).eval()
    with torch.inference_mode():
        found = network(torch.zeros(shape, dtype=torch.uint8))
    assert answer == found.shape
    assert torch.float32 == found.dtype


@pytest.mark.parametrize(
    "config", [ResNetConfig(widths=(8,), embedding=6), DepthwiseConfig(widths=(8,), embedding=6)], ids=type
)
def test_embeddings_have_unit_length(config: Any) -> None:
    """Whatever the image, so that a product of two says how alike they are."""
    with torch.inference_mode():
        found = build(config, seed=1).eval()(ARCHITECTURES["depthwise"].inputs)
    assert torch.allclose(torch.ones(len(found)), found.norm(dim=1))


@pytest.mark.parametrize(
    "config,inputs",
    [
        (MLPConfig(features=2, outputs=2), torch.tensor([[1.0, 2.0], [-3.0, 0.5]])),
        (RecurrentConfig(features=2, outputs=2), torch.tensor([[[1.0, 2.0], [-3.0, 0.5], [0.0, 1.0]]])),
    ],
    ids=["mlp", "recurrent"],
)
def test_answers_keep_to_the_units(config: Any, inputs: torch.Tensor) -> None:
    """With figures in other units, of what goes in and what comes out, the same network says the same in those."""
    grams = replace(config, mean=(0.5, 1), deviation=(2, 4), target_mean=(3, 0), target_deviation=(1, 7))
    kilograms = replace(grams, mean=(5e-4, 1e-3), deviation=(2e-3, 4e-3), target_mean=(3e-3, 0))
    kilograms = replace(kilograms, target_deviation=(1e-3, 7e-3))
    with torch.inference_mode():
        expected, found = build(grams, seed=1)(inputs), build(kilograms, seed=1)(inputs / 1000)
    assert torch.allclose(expected / 1000, found, rtol=1e-4)


def test_what_is_drawn_about_a_code_is_the_noise_s_to_say() -> None:
    """The same noise gives the same image, none the middle, and every image lies within what pixels can be."""
    architecture = ARCHITECTURES["variational"]
    network: Any = build(architecture.config, seed=1).eval()
    with torch.inference_mode():
        first, again = (network(architecture.inputs, architecture.asked[0]) for _ in range(2))
        middle = network(architecture.inputs, torch.zeros(8, 6))
        assert torch.equal(network.decoder(middle.mean), middle.pixels)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.allclose(first.pixels, middle.pixels)
    assert 0 <= first.pixels.min() <= first.pixels.max() <= 1


@pytest.mark.parametrize("size", [16, 32, 64])
def test_images_of_any_power_of_two_are_made_and_judged(size: int) -> None:
    """From 16 pixels on, the generator makes images of that size, of which the discriminator judges each."""
    network: Any = build(GANConfig(width=4, code=5, channels=3, size=size), seed=1)
    made = network(torch.randn(2, 5, generator=torch.Generator().manual_seed(1)))
    assert (2, 3, size, size) == made.shape
    assert 0 <= made.min() < made.max() <= 1
    assert (2,) == network.discriminator(made).shape


def test_both_players_begin_as_their_paper_says() -> None:
    """Weights lie about 0, or 1 where they scale, by 0.02."""
    network = build(GANConfig(width=32, size=32), seed=1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            middle = 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0
            weights = module.weight.detach()
            assert abs(float(weights.mean()) - middle) < 0.02
            assert 0.01 < float(weights.std()) < 0.03


@pytest.mark.parametrize(
    "config,wrong,text",
    [
        (MLPConfig, {"widths": (8, 0)}, "widths: must be at least 1"),
        (MLPConfig, {"features": 0, "outputs": 0}, "features, outputs: must be at least 1"),
        (MLPConfig, {"activation": "swish"}, "activation: 'swish' isn't known, it is one of relu, tanh"),
        (MLPConfig, {"norm": "group"}, "norm: 'group' isn't known, it is one of none, batch, layer"),
        (MLPConfig, {"dropout": 1.0}, "dropout: must be at least 0 and below 1"),
        (MLPConfig, {"features": 3, "mean": (1, 2), "deviation": (1, 2)}, "mean, deviation: there are none, one"),
        (MLPConfig, {"mean": (1,)}, "mean, deviation: there are none, one of each, or 1 of each"),
        (MLPConfig, {"mean": (1,), "deviation": (0,)}, "mean, deviation: deviations must be positive"),
        (MLPConfig, {"mean": (float("nan"),), "deviation": (1,)}, "mean, deviation: must be finite"),
        (MLPConfig, {"target_mean": (1,)}, "target_mean, target_deviation: there are none"),
        (ResNetConfig, {"embedding": -1}, "embedding: must not be below 0"),
        (DepthwiseConfig, {"widths": ()}, "widths: must be at least 1"),
        (DepthwiseConfig, {"blocks": 0}, "blocks: must be at least 1"),
        (DepthwiseConfig, {"embedding": -1}, "embedding: must not be below 0"),
        (DepthwiseConfig, {"deviation": float("nan")}, "deviation: must be positive"),
        (RecurrentConfig, {"cell": "elman"}, "cell: 'elman' isn't known, it is one of rnn, lstm, gru"),
        (RecurrentConfig, {"layers": 0, "width": 0}, "layers, width: must be at least 1"),
        (RecurrentConfig, {"vocabulary": 1}, "vocabulary: is 0 for numbers, or at least 2"),
        (RecurrentConfig, {"vocabulary": 9, "mean": (1,), "deviation": (1,)}, "mean, deviation: token ids have none"),
        (EncoderConfig, {"head": "class"}, "head: 'class' isn't known, it is one of text, tokens, embedding"),
        (EncoderConfig, {"width": 30}, "width, heads: width must be a multiple of heads"),
        (EncoderConfig, {"places": "fixed"}, "places: 'fixed' isn't known, it is one of learnt, rotary"),
        (EncoderConfig, {"width": 12, "heads": 4, "places": "rotary"}, "width, heads: width must be an even multiple"),
        (EncoderConfig, {"vocabulary": 1}, "vocabulary: must be at least 2"),
        (EncoderConfig, {"length": 0}, "length: must be at least 1"),
        (AutoencoderConfig, {"size": 18}, "size: must be a multiple of 4"),
        (AutoencoderConfig, {"code": 0}, "code: must be at least 1"),
        (VariationalConfig, {"widths": (8, 8, 8), "size": 12}, "size: must be a multiple of 8"),
        (GANConfig, {"size": 24}, "size: must be a power of two, and at least 16"),
        (GANConfig, {"size": 8}, "size: must be a power of two, and at least 16"),
        (DetectorConfig, {"size": 24}, "size: must be a multiple of 16"),
        (DetectorConfig, {"size": 16, "classes": 1}, "boxes: there are fewer cells than that"),
        (DetectorConfig, {"widths": ()}, "widths: must be at least 1"),
        (DetectorConfig, {"reach": 1}, "reach: must be at least 2"),
        (UNetConfig, {"size": 18}, "size: must be a multiple of 4"),
        (UNetConfig, {"deviation": 0.0}, "deviation: must be positive"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(config: Any, wrong: dict[str, Any], text: str) -> None:
    """The text names the field, and says what would do."""
    with pytest.raises(ValueError, match=f"^{text}"):
        config(**wrong)
