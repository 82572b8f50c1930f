"""How to quantize: settings that stand in recipes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class CalibrationSettings:
    """`method` finds the range of an activation: its extremes, the least divergence, or `percentile` of its values."""

    method: Literal["minmax", "entropy", "percentile"] = "minmax"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise ValueError("percentile: must be above 50, and at most 100")


@dataclass(frozen=True, kw_only=True)
class QuantizeSettings(CalibrationSettings):
    """Static quantization of an image classifier: `samples` is how many training images are looked at.

    `min_agreement` is the share of validation images that must be answered as the float model answers them.
    """

    samples: int = 256
    min_agreement: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 1:
            raise ValueError("samples: must be at least one")
        if not 0 <= self.min_agreement <= 1:
            raise ValueError("min_agreement: must be a share")


@dataclass(frozen=True, kw_only=True)
class WeightOnlySettings:
    """Each `block_size` weights of a column share a scale, and a zero unless `symmetric`; a weight has `bits`."""

    bits: Literal[4, 8] = 4
    block_size: int = 32
    symmetric: bool = True

    def __post_init__(self) -> None:
        if self.bits not in {4, 8}:
            raise ValueError("bits: must be 4 or 8")
        if self.block_size not in {16, 32, 64, 128, 256}:
            raise ValueError("block_size: must be 16, 32, 64, 128 or 256")
