"""Networks of many shapes, for properties that hold for all of them."""

import torch
from hypothesis import strategies as st

from training.networks.resnet import ResNet, ResNetConfig, build

WIDTHS = st.sampled_from([16, 32, 48])


@st.composite
def configs(draw: st.DrawFn) -> ResNetConfig:
    """One to three stages of one or two blocks, widths multiples of 16, inner widths the stage's or not."""
    widths = tuple(draw(st.lists(WIDTHS, min_size=1, max_size=3)))
    blocks = draw(st.integers(1, 2))
    count = len(widths) * blocks
    inner = tuple(draw(st.lists(WIDTHS, min_size=count, max_size=count))) if draw(st.booleans()) else ()
    return ResNetConfig(
        widths=widths,
        blocks=blocks,
        inner=inner,
        channels=draw(st.sampled_from([1, 3])),
        classes=draw(st.sampled_from([2, 10])),
        mean=0.3,
        deviation=0.4,
    )


CONFIGS = configs()


def lively(config: ResNetConfig, seed: int) -> ResNet:
    """A network in evaluation mode whose normalisations scale, shift and have seen something, as after training."""
    network = build(config, seed)
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.weight.copy_(torch.rand(module.weight.shape, generator=random) + 0.5)
                module.bias.copy_(torch.randn(module.bias.shape, generator=random) * 0.3)
                module.running_mean.copy_(torch.randn(module.bias.shape, generator=random) * 0.2)
                module.running_var.copy_(torch.rand(module.bias.shape, generator=random) + 0.5)
    return network.eval()


def pixels(seed: int, channels: int, *, count: int = 3, side: int = 8) -> torch.Tensor:
    """Random images uint8 [count, channels, side, side]."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8, generator=random)
