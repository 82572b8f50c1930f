"""An autoencoder: the channels of each size of the image, and the numbers of the code."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Units, UnitSet, channels, input_axes, output_axes
from training.networks.autoencoder import AutoencoderConfig


def units(config: AutoencoderConfig) -> tuple[Units, ...]:
    """`stage<i>` are the channels of a size, on the way in and out, and `code` the numbers that all goes through."""
    code = UnitSet(
        name="code",
        count=config.code,
        made=output_axes(f"encoder.{2 * len(config.widths) + 1}"),
        read=input_axes("decoder.0"),
    )
    return (*stages(config.widths, config.size), Units(name=code.name, count=code.count, sets=(code,)))


def resized(config: AutoencoderConfig, counts: Mapping[str, int]) -> AutoencoderConfig:
    """The config with so many of each."""
    widths = tuple(counts[f"stage{stage}"] for stage in range(len(config.widths)))
    return replace(config, widths=widths, code=counts["code"])


def stages(widths: tuple[int, ...], size: int) -> tuple[Units, ...]:
    """The channels of both halves for images of `size` pixels a side; those of each layer are chosen by themselves."""
    count = len(widths)
    cells = (size >> count) ** 2
    sets: dict[int, list[UnitSet]] = {stage: [] for stage in range(count)}
    for stage, width in enumerate(widths):
        flat = input_axes(f"encoder.{2 * count + 1}", size=cells)
        read = flat if stage == count - 1 else input_axes(f"encoder.{2 * stage + 2}.0")
        sets[stage].append(channels(f"in{stage}", width, convolutions=[f"encoder.{2 * stage}"], read=read))
    sets[count - 1].append(
        UnitSet(
            name="unfolded",
            count=widths[-1],
            made=output_axes("decoder.0", size=cells),
            read=input_axes("decoder.4.0"),
        )
    )
    for number in range(count):
        place, stage = 4 + 3 * number, max(0, count - 2 - number)  # the last two have the first width
        read = input_axes(f"decoder.{3 + 3 * count}" if number == count - 1 else f"decoder.{place + 3}.0")
        one = channels(f"out{number}", widths[stage], convolutions=[f"decoder.{place}"], read=read)
        sets[stage].append(one)
    return tuple(Units(name=f"stage{stage}", count=widths[stage], sets=tuple(sets[stage])) for stage in sets)
