"""A segmenting network: the channels of each size of the image."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Axis, Units, UnitSet, channels, input_axes
from training.networks.unet import UNetConfig


def units(config: UNetConfig) -> tuple[Units, ...]:
    """`stage<i>` are the channels of a size, on the way in and out; each convolution's are chosen by themselves."""
    last = len(config.widths) - 1
    found = []
    for stage, width in enumerate(config.widths):
        out = input_axes("head") if stage == 0 else input_axes(f"narrow.{stage - 1}.1")
        inwards, outwards = f"inwards.{stage}", f"outwards.{stage}"
        below = input_axes(f"inwards.{stage + 1}.0.0")
        sets = [_first(inwards, width)]
        if stage == last:
            sets.append(_second(inwards, width, out))
        else:
            sets += [
                _second(inwards, width, below + input_axes(f"{outwards}.0.0")),
                _grown(stage, width),
                _first(outwards, width),
                _second(outwards, width, out),
            ]
        found.append(Units(name=f"stage{stage}", count=width, sets=tuple(sets)))
    return tuple(found)


def resized(config: UNetConfig, counts: Mapping[str, int]) -> UNetConfig:
    """The config with so many of each."""
    return replace(config, widths=tuple(counts[f"stage{stage}"] for stage in range(len(config.widths))))


def _first(pair: str, width: int) -> UnitSet:
    """The channels between the two convolutions of a pair."""
    return channels(f"{pair}.0", width, convolutions=[f"{pair}.0"], read=input_axes(f"{pair}.2.0"))


def _second(pair: str, width: int, read: tuple[Axis, ...]) -> UnitSet:
    return channels(f"{pair}.2", width, convolutions=[f"{pair}.2"], read=read)


def _grown(stage: int, width: int) -> UnitSet:
    """What comes from a smaller size, behind the same size of the way in."""
    narrow, read = f"narrow.{stage}", input_axes(f"outwards.{stage}.0.0", start=width)
    return UnitSet(
        name=narrow, count=width, made=(Axis(tensor=f"{narrow}.1.weight"),), norms=(f"{narrow}.2",), read=read
    )
