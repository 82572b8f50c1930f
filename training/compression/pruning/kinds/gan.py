"""Two networks against each other: the channels of each layer of either. The code is what clients send, so it stays."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Axis, Units, UnitSet, input_axes, output_axes
from training.networks.gan import GANConfig


def units(config: GANConfig) -> tuple[Units, ...]:
    """`generator<i>` and `discriminator<i>` are the channels of a layer, from the image inwards."""
    sets = (*_generator(config), *_discriminator(config))
    return tuple(Units(name=one.name, count=one.count, sets=(one,)) for one in sets)


def resized(config: GANConfig, counts: Mapping[str, int]) -> GANConfig:
    """The config with so many of each."""
    stages = range(len(config.widths))
    return replace(
        config,
        generator=tuple(counts[f"generator{stage}"] for stage in stages),
        discriminator=tuple(counts[f"discriminator{stage}"] for stage in stages),
    )


def _generator(config: GANConfig) -> list[UnitSet]:
    """A transposed convolution has its inputs on the first axis, and its outputs on the second."""
    found = []
    for stage, width in enumerate(config.generator_widths):
        place = 1 + 3 * (len(config.widths) - 1 - stage)
        found.append(
            UnitSet(
                name=f"generator{stage}",
                count=width,
                made=(Axis(tensor=f"generator.{place}.weight", axis=1),),
                norms=(f"generator.{place + 1}",),
                read=(Axis(tensor=f"generator.{place + 3}.weight"),),
            )
        )
    return found


def _discriminator(config: GANConfig) -> list[UnitSet]:
    found = []
    for stage, width in enumerate(config.discriminator_widths):
        maker, norm, reader = (
            f"discriminator.layers.{place}" for place in (max(0, 3 * stage - 1), 3 * stage, 3 * stage + 2)
        )
        found.append(
            UnitSet(
                name=f"discriminator{stage}",
                count=width,
                made=output_axes(maker, bias=not stage),
                norms=(norm,) if stage else (),
                read=input_axes(reader),
            )
        )
    return found
