"""A transformer encoder: heads and feed-forward part of each layer, layers, and what all of them add to."""

from collections.abc import Mapping
from dataclasses import replace

from training.compression.pruning.units import Axis, Units, UnitSet, input_axes, output_axes
from training.networks.encoder import EncoderConfig


def units(config: EncoderConfig) -> tuple[Units, ...]:
    """`heads<i>` and `feed<i>` are those of a layer, `layer<i>` is the layer, and `width` what runs through them all.

    A layer without a feed-forward part has no `feed<i>`.

    The width is that of an embedding too, where that is the answer: then it stays.
    """
    found = []
    for index, shape in enumerate(config.shapes):
        layer = f"layers.{index}"
        heads = UnitSet(
            name=f"heads{index}",
            count=shape.heads,
            made=output_axes(f"{layer}.query_key_value", runs=3, size=shape.head_size),
            read=input_axes(f"{layer}.mix", size=shape.head_size),
            layer=layer,
            heads=True,
        )
        found.append(Units(name=heads.name, count=heads.count, sets=(heads,), step=1))
        if shape.feed:
            feed = UnitSet(
                name=f"feed{index}",
                count=shape.feed,
                made=output_axes(f"{layer}.feed.0"),
                read=input_axes(f"{layer}.feed.2"),
                layer=layer,
            )
            found.append(Units(name=feed.name, count=feed.count, sets=(feed,)))
        found.append(Units(name=f"layer{index}", count=1, layer=layer))
    if config.head != "embedding":
        found.append(Units(name="width", count=config.width, sets=(_stream(config),)))
    return tuple(found)


def resized(config: EncoderConfig, counts: Mapping[str, int]) -> EncoderConfig:
    """The config with so many of each."""
    left = [index for index in range(config.layers) if counts[f"layer{index}"]]
    return replace(
        config,
        layers=len(left),
        width=counts.get("width", config.width),
        head_size=config.size_of_head,
        layer_heads=tuple(counts[f"heads{index}"] for index in left),
        feeds=tuple(counts.get(f"feed{index}", 0) for index in left),
    )


def _stream(config: EncoderConfig) -> UnitSet:
    """What every layer reads and adds to."""
    layers = [f"layers.{index}" for index in range(config.layers)]
    fed = [layer for layer, shape in zip(layers, config.shapes, strict=True) if shape.feed]
    embeddings = ["tokens"] + (["places"] if config.places == "learnt" else [])
    return UnitSet(
        name="width",
        count=config.width,
        made=(
            *(Axis(tensor=f"{name}.weight", axis=1) for name in embeddings),
            *output_axes(*(f"{layer}.mix" for layer in layers), *(f"{layer}.feed.2" for layer in fed)),
        ),
        norms=(
            *(f"{layer}.before_attention" for layer in layers),
            *(f"{layer}.before_feed" for layer in fed),
            "norm",
        ),
        read=input_axes(
            *(f"{layer}.query_key_value" for layer in layers), *(f"{layer}.feed.0" for layer in fed), "head"
        ),
    )
