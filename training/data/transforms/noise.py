"""Numbers that scatter around what they are."""

from dataclasses import dataclass

import torch

from service.errors import SettingsError
from training.data.transforms.transform import Pair, typed


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Normal noise on every number; its `deviation` is a share of 255 for pixels, and in their units for others."""

    deviation: float = 0.05

    def __post_init__(self) -> None:
        if self.deviation < 0:
            raise ValueError("deviation: must not be below 0")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Pixels uint8 or numbers float32 [N, ...]. Raises SettingsError for ids, which aren't quantities."""
        if inputs.dtype == torch.int64:
            raise SettingsError("noise: tokens have no neighbours to scatter to; use token_dropout")
        unit = 255.0 if inputs.dtype == torch.uint8 else 1.0
        noise = torch.randn(inputs.shape, generator=random) * (self.deviation * unit)
        return typed(inputs.float() + noise, inputs), targets
