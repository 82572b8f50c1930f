"""A network of depthwise blocks: the channels of each stage."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Units, UnitSet, channels, input_axes
from training.networks.depthwise import DepthwiseConfig


def units(config: DepthwiseConfig) -> tuple[Units, ...]:
    """`stage<i>` are the channels between blocks; those of each block of the stage are chosen by themselves."""
    makers = ["stem", *(f"stages.{block}.2" for block in range(len(config.widths) * config.blocks))]
    sets: dict[int, list[UnitSet]] = {stage: [] for stage in range(len(config.widths))}
    for place, maker in enumerate(makers):
        stage = max(0, place - 1) // config.blocks
        last = place == len(makers) - 1
        # What looks at each channel alone ties its outputs to its inputs.
        tied = [maker] if last else [maker, f"stages.{place}.0"]
        read = input_axes("head") if last else input_axes(f"stages.{place}.2.0")
        sets[stage].append(channels(maker, config.widths[stage], convolutions=tied, read=read))
    return tuple(
        Units(name=f"stage{stage}", count=width, sets=tuple(sets[stage])) for stage, width in enumerate(config.widths)
    )


def resized(config: DepthwiseConfig, counts: Mapping[str, int]) -> DepthwiseConfig:
    """The config with so many of each."""
    return replace(config, widths=tuple(counts[f"stage{stage}"] for stage in range(len(config.widths))))
