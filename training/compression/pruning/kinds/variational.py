"""A variational autoencoder: the channels of each size of the image. Its code is what clients send, so it stays."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.kinds.autoencoder import stages
from training.compression.pruning.units import Units
from training.networks.variational import VariationalConfig


def units(config: VariationalConfig) -> tuple[Units, ...]:
    """`stage<i>` are the channels of a size, on the way in and out."""
    return stages(config.widths, config.size)


def resized(config: VariationalConfig, counts: Mapping[str, int]) -> VariationalConfig:
    """The config with so many of each."""
    return replace(config, widths=tuple(counts[f"stage{stage}"] for stage in range(len(config.widths))))
