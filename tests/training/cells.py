"""The smallest detector: nothing but its maps."""

from typing import Any

import torch
from torch import nn


class Cells(nn.Module):
    """Cells of four pixels by one convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(1, 6, 4, stride=4)

    def forward(self, images: torch.Tensor) -> Any:
        return self.maps(images / 255.0).split([2, 2, 2], dim=1)
