"""A residual network: the channels of each stage, which its sums tie, those inside each block, and blocks."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate

from training.compression.pruning.units import Axis, Units, channels, input_axes
from training.networks.resnet import ResNetConfig, block_shapes


def units(config: ResNetConfig) -> tuple[Units, ...]:
    """`stage<i>` are the channels that the sums of a stage tie, `inner<i>` those between a block's convolutions.

    `block<i>` is a block that adds to what it is given: the first of a stage makes something else of it, and stays.
    """
    makers: dict[int, list[str]] = {stage: [] for stage in range(len(config.widths))}
    readers: dict[int, list[Axis]] = {stage: [] for stage in makers}
    makers[0].append("stem")
    found, before = [], 0
    for index, shape in enumerate(block_shapes(config)):
        block = f"stages.{index}"
        readers[before] += input_axes(f"{block}.first.0")
        makers[shape.stage].append(f"{block}.second")
        if shape.projects:
            readers[before] += input_axes(f"{block}.shortcut.0")
            makers[shape.stage].append(f"{block}.shortcut")
        adds = index not in _firsts(config)
        inner = channels(
            f"inner{index}", shape.inner, convolutions=[f"{block}.first"], read=input_axes(f"{block}.second.0")
        )
        inner = replace(inner, layer=block if adds else "")
        found.append(Units(name=inner.name, count=inner.count, sets=(inner,)))
        if adds:
            found.append(Units(name=f"block{index}", count=1, layer=block))
        before = shape.stage
    readers[before] += input_axes("head")
    for stage, width in enumerate(config.widths):
        one = channels(f"stage{stage}", width, convolutions=makers[stage], read=tuple(readers[stage]))
        found.append(Units(name=one.name, count=width, sets=(one,)))
    return tuple(found)


def resized(config: ResNetConfig, counts: Mapping[str, int]) -> ResNetConfig:
    """The config with so many of each."""
    left = [index for index in range(sum(config.stage_depths)) if counts.get(f"block{index}", 1)]
    stages = [shape.stage for shape in block_shapes(config)]
    depths = tuple(sum(stages[index] == stage for index in left) for stage in range(len(config.widths)))
    return replace(
        config,
        widths=tuple(counts[f"stage{stage}"] for stage in range(len(config.widths))),
        depths=() if depths == (config.blocks,) * len(depths) else depths,
        inner=tuple(counts[f"inner{index}"] for index in left),
    )


def _firsts(config: ResNetConfig) -> set[int]:
    """The first block of each stage."""
    return {0, *accumulate(config.stage_depths)}
