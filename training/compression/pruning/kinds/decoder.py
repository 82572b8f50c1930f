"""A decoder: heads of the cache and feed-forward part of each layer, layers, and what all of them add to."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Axis, Units, UnitSet, input_axes, output_axes
from training.networks.decoder import DecoderConfig


def units(config: DecoderConfig) -> tuple[Units, ...]:
    """`cache_heads` take along those that look at them; `feed<i>` and `layer<i>` are a layer's, `width` is of all.

    All layers have as many heads, since the cache is one tensor; which ones is for each to choose. Induction heads
    come first, and stay.
    """
    layers = range(config.layers)
    found = [
        Units(
            name="cache_heads",
            count=config.cache_heads,
            sets=tuple(_heads(config, index) for index in layers),
            step=1,
            least=max(1, config.induction_heads),
        )
    ]
    for index in layers:
        feed = UnitSet(
            name=f"feed{index}",
            count=config.feed_widths[index],
            made=output_axes(f"layers.{index}.feed.0"),
            read=input_axes(f"layers.{index}.feed.2"),
            layer=f"layers.{index}",
        )
        found.append(Units(name=feed.name, count=feed.count, sets=(feed,)))
        found.append(Units(name=f"layer{index}", count=1, layer=feed.layer))
    return (*found, Units(name="width", count=config.width, sets=(_stream(config),)))


def resized(config: DecoderConfig, counts: Mapping[str, int]) -> DecoderConfig:
    """The config with so many of each."""
    left = [index for index in range(config.layers) if counts[f"layer{index}"]]
    group = config.heads // config.cache_heads
    return replace(
        config,
        layers=len(left),
        width=counts["width"],
        heads=counts["cache_heads"] * group,
        cache_heads=counts["cache_heads"],
        head_size=config.size_of_head,
        feeds=tuple(counts[f"feed{index}"] for index in left),
    )


def _heads(config: DecoderConfig, index: int) -> UnitSet:
    attention, size = f"layers.{index}.attention", config.size_of_head
    group = config.heads // config.cache_heads * size
    return UnitSet(
        name=f"heads{index}",
        count=config.cache_heads,
        made=(
            *output_axes(f"{attention}.query", bias=False, size=group),
            *output_axes(f"{attention}.key_value", bias=False, runs=2, size=size),
        ),
        read=input_axes(f"{attention}.out", size=group),
        protected=config.induction_heads,
        layer=f"layers.{index}",
        heads=True,
    )


def _stream(config: DecoderConfig) -> UnitSet:
    """What every layer reads and adds to; tokens are told by the same embedding that they come in by."""
    layers = [f"layers.{index}" for index in range(config.layers)]
    readers = ("attention.query", "attention.key_value", "feed.0")
    return UnitSet(
        name="width",
        count=config.width,
        made=(
            Axis(tensor="tokens.weight", axis=1),
            *output_axes(*(f"{layer}.attention.out" for layer in layers), bias=False),
            *output_axes(*(f"{layer}.feed.2" for layer in layers)),
        ),
        norms=(*(f"{layer}.{part}" for layer in layers for part in ("before_attention", "before_feed")), "norm"),
        read=input_axes(*(f"{layer}.{part}" for layer in layers for part in readers)),
    )
