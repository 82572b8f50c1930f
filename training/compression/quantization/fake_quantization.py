"""Layers that compute as the runtime's integer kernels do, and still learn.

Weights are symmetric int8 with a scale per output channel, what goes in asymmetric uint8 by a range that is learnt as
a moving average of what each batch reaches. Products are sums of integers, held as floats: up to 2 ** 24, which no
layer here comes near, they are exact, so that codes are those of the runtime's U8S8 kernels and not just close to
them. Tables that rows are picked from are int8 with a scale for each row, as `tables.py` writes them. Backwards
rounding is passed over, and what lies beyond its range learns nothing.

Source: B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference", arXiv 1712.05877.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from training.compression.quantization.ranges import Range

CODES = 255
LARGEST, LARGEST_REDUCED = 127, 64
"""The largest code of a weight, as the runtime's tool has them: with `reduce_range` it is 64."""
MOMENTUM = 0.1
"""The share of a moving average that the next batch makes up."""
TINY = float(torch.finfo(torch.float32).tiny)


class Coded(NamedTuple):
    """Integers as floats, with what one of them stands for."""

    codes: torch.Tensor
    scale: torch.Tensor


class InputRange(nn.Module):
    """The range of what goes into a layer. Owns a moving average of its extremes, which evaluation leaves as it is."""

    low: torch.Tensor
    high: torch.Tensor
    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("low", "high"):
            self.register_buffer(name, torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    @property
    def learnt(self) -> Range:
        """The least and the largest value that is represented."""
        return float(self.low), float(self.high)

    def forward(self, values: torch.Tensor) -> Coded:
        """The codes of `values` less that of zero, from -255 to 255."""
        if self.training:
            self._learn(values.detach())
        scale, zero = asymmetric(self.low, self.high)
        codes = (_rounded(values / scale) + zero).clamp(0, CODES)
        return Coded(codes - zero, scale)

    def _learn(self, values: torch.Tensor) -> None:
        share = torch.where(self.seen, MOMENTUM, 1.0)
        self.low.lerp_(values.min(), share)
        self.high.lerp_(values.max(), share)
        self.seen.fill_(value=True)


def asymmetric(low: torch.Tensor, high: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The scale of uint8 codes for a range, which is widened to hold zero, and the code of zero."""
    least, most = low.clamp(max=0).double(), high.clamp(min=0).double()
    scale = (most - least) / CODES
    none = scale < TINY
    scale = torch.where(none, 1.0, scale)
    return scale.float(), torch.where(none, 0.0, torch.round(-least / scale)).float()


def symmetric(weight: torch.Tensor, *, reduce_range: bool) -> Coded:
    """The int8 codes of a weight [out, ...], with a scale for each of its outputs, [out]."""
    largest = weight.detach().flatten(1).abs().amax(dim=1)
    scale = (2 * largest.double() / (2 * (LARGEST_REDUCED if reduce_range else LARGEST))).float()
    scale = torch.where(scale < TINY, torch.ones_like(scale), scale)
    return Coded(_rounded(weight / scale.reshape(-1, *(1,) * (weight.dim() - 1))), scale)


def row_codes(rows: torch.Tensor) -> Coded:
    """The int8 codes of rows [..., columns] of a table, with a scale for each of them, [..., 1]."""
    scale = rows.detach().abs().amax(dim=-1, keepdim=True) / LARGEST
    scale = torch.where(scale < TINY, torch.ones_like(scale), scale)
    return Coded(_rounded(rows / scale), scale)


class FakeQuantizedEmbedding(nn.Embedding):
    """A table of integers, of whose rows floats are made when they are picked."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch calls it so
        """Ids [...], to floats [..., columns]."""
        picked = row_codes(super().forward(input))
        return picked.codes * picked.scale


class FakeQuantizedConv2d(nn.Conv2d):
    """A convolution in integers."""

    input_range: InputRange
    reduce_range: bool

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch calls it so
        """Floats [N, C, H, W], to what the integer kernel gives before its result is made integers."""
        taken: Coded = self.input_range(input)
        weight = symmetric(self.weight, reduce_range=self.reduce_range)
        scale = taken.scale * weight.scale
        bias = None if self.bias is None else _bias_codes(self.bias, scale)
        sums = functional.conv2d(taken.codes, weight.codes, bias, self.stride, self.padding, self.dilation, self.groups)
        return sums * scale.reshape(-1, 1, 1)


class FakeQuantizedLinear(nn.Linear):
    """A product with a matrix in integers."""

    input_range: InputRange
    reduce_range: bool

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch calls it so
        """Floats [N, ..., features], to floats. Of more than two axes the bias is added as a float, as in the file."""
        taken: Coded = self.input_range(input)
        weight = symmetric(self.weight, reduce_range=self.reduce_range)
        scale = taken.scale * weight.scale
        bias: torch.Tensor | None = self.bias
        if bias is None:
            return functional.linear(taken.codes, weight.codes) * scale
        if input.dim() > 2:
            return functional.linear(taken.codes, weight.codes) * scale + bias
        return functional.linear(taken.codes, weight.codes, _bias_codes(bias, scale)) * scale


def _bias_codes(bias: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return _rounded(bias.double() / scale.detach().double()).float()


def _rounded(values: torch.Tensor) -> torch.Tensor:
    """The nearest integers, halves to the even one; backwards as if they were the values."""
    return values + (torch.round(values) - values).detach()
