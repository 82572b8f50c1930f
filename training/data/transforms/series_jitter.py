"""Windows of a series as another sensor might have measured them.

Source: T. Um et al., "Data Augmentation of Wearable Sensor Data for Parkinson's Disease Monitoring using Convolutional
Neural Networks", 2017, arXiv 1706.00527 (jittering and scaling).
"""

from dataclasses import dataclass

import torch

from service.errors import SettingsError
from training.data.transforms.transform import Pair

MOST_GROWTH = 1.0


@dataclass(frozen=True, kw_only=True)
class SeriesJitter:
    """Normal noise on every value, and a factor about 1 on how far each feature of a window swings about its mean.

    `noise` is a share of the feature's deviation in the window, `scale` the deviation of the factor. Targets stay, but
    for `growth`: the deviation of the logarithm of a factor on a window's first feature, which is the series, and on
    the values that follow it. It is for series that have a zero, and may come to lie higher than they ever did.
    """

    noise: float = 0.05
    scale: float = 0.0
    growth: float = 0.0

    def __post_init__(self) -> None:
        if min(self.noise, self.scale, self.growth) < 0:
            raise ValueError("noise, scale, growth: must not be below 0")
        if self.growth > MOST_GROWTH:
            raise ValueError(f"growth: must be at most {MOST_GROWTH:g}, the deviation of a logarithm")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Windows float32 [N, T, F]. Raises SettingsError for anything else."""
        if inputs.dim() != 3 or not inputs.is_floating_point():
            raise SettingsError("series_jitter: is for windows of a series, float32 [N, T, F]")
        if self.growth:
            if targets.dim() != 2 or not targets.is_floating_point():
                raise SettingsError("series_jitter: growth is for windows whose targets are values, float32 [N, K]")
            grown = (self.growth * torch.randn((len(inputs), 1), generator=random)).exp()
            series, others = inputs[..., :1], inputs[..., 1:]
            inputs, targets = torch.cat([series * grown[:, :, None], others], dim=2), targets * grown
        middle = inputs.mean(dim=1, keepdim=True)
        swing = inputs.std(dim=1, keepdim=True, correction=0)
        factor = 1 + self.scale * torch.randn(middle.shape, generator=random)
        noise = self.noise * swing * torch.randn(inputs.shape, generator=random)
        return middle + factor * (inputs - middle) + noise, targets
