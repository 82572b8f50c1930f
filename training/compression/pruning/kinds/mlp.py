"""A multilayer perceptron: the hidden numbers of each layer."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Units, UnitSet, input_axes, output_axes
from training.networks.mlp import MLPConfig

LAYERS = 4
"""Modules of a hidden layer: linear, normalisation, activation, dropout."""


def units(config: MLPConfig) -> tuple[Units, ...]:
    """`hidden<i>` are the numbers of a hidden layer."""
    found = []
    for index, width in enumerate(config.widths):
        place = LAYERS * index
        reader = "head" if index == len(config.widths) - 1 else f"hidden.{place + LAYERS}"
        one = UnitSet(
            name=f"hidden{index}",
            count=width,
            made=output_axes(f"hidden.{place}", bias=config.norm != "batch"),
            norms=() if config.norm == "none" else (f"hidden.{place + 1}",),
            read=input_axes(reader),
        )
        found.append(Units(name=one.name, count=width, sets=(one,)))
    return tuple(found)


def resized(config: MLPConfig, counts: Mapping[str, int]) -> MLPConfig:
    """The config with so many of each."""
    return replace(config, widths=tuple(counts[f"hidden{index}"] for index in range(len(config.widths))))
