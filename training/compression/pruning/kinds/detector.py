"""A detector: the channels of each size of the image, and of cells."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Axis, Units, UnitSet, channels, input_axes, output_axes
from training.networks.detector import DetectorConfig

HEADS = ("heat", "sides")


def units(config: DetectorConfig) -> tuple[Units, ...]:
    """`stage<i>` are the channels of a size; with the first go those of cells, all sizes added up, and of the heads."""
    widths, last = config.widths, len(config.widths) - 1
    first = [
        channels("stem", widths[0], convolutions=["stem.0"], read=_entrance(0)),
        channels(
            "cells",
            widths[0],
            convolutions=[f"beside.{stage}" for stage in range(len(widths))],
            read=input_axes(*(f"{head}.0" for head in HEADS)),
        ),
        *(
            UnitSet(name=head, count=widths[0], made=output_axes(f"{head}.0"), read=input_axes(f"{head}.2"))
            for head in HEADS
        ),
    ]
    found = []
    for stage, width in enumerate(widths):
        block = f"stages.{stage}"
        read = input_axes(f"beside.{stage}.0") + (() if stage == last else _entrance(stage + 1))
        sets = [
            channels(f"inner{stage}", width, convolutions=[f"{block}.first"], read=input_axes(f"{block}.second.0")),
            channels(f"outer{stage}", width, convolutions=[f"{block}.second", f"{block}.shortcut"], read=read),
        ]
        found.append(Units(name=f"stage{stage}", count=width, sets=tuple(sets if stage else first + sets)))
    return tuple(found)


def resized(config: DetectorConfig, counts: Mapping[str, int]) -> DetectorConfig:
    """The config with so many of each."""
    return replace(config, widths=tuple(counts[f"stage{stage}"] for stage in range(len(config.widths))))


def _entrance(stage: int) -> tuple[Axis, ...]:
    """What takes in the inputs of a stage; each makes the image smaller, so that the shortcut is a convolution."""
    return input_axes(f"stages.{stage}.first.0", f"stages.{stage}.shortcut.0")
