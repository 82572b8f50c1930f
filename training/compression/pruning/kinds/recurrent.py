"""A recurrent network: the width of its layers, which is that of its embedding too."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from training.compression.pruning.units import Axis, Units, UnitSet
from training.networks.recurrent import Cell, RecurrentConfig

GATES: Mapping[Cell, int] = {"rnn": 1, "lstm": 4, "gru": 3}
"""What is computed of every hidden unit: rows of a cell's weights are those of all units, gate after gate."""


def units(config: RecurrentConfig) -> tuple[Units, ...]:
    """`width` are the hidden units of each layer and direction, which are chosen by themselves."""
    sets = [_hidden(config, layer, way) for layer in range(config.layers) for way in range(_ways(config))]
    if config.vocabulary:
        read = tuple(Axis(tensor=f"cells.weight_ih_{_name(0, way)}", axis=1) for way in range(_ways(config)))
        made = (Axis(tensor="read.weight", axis=1),)
        sets.append(UnitSet(name="embedding", count=config.width, made=made, read=read))
    return (Units(name="width", count=config.width, sets=tuple(sets)),)


def resized(config: RecurrentConfig, counts: Mapping[str, int]) -> RecurrentConfig:
    """The config with so many of them."""
    return replace(config, width=counts["width"])


def _hidden(config: RecurrentConfig, layer: int, way: int) -> UnitSet:
    name, gates = _name(layer, way), GATES[config.cell]
    made = (f"{kind}_{part}_{name}" for kind in ("weight", "bias") for part in ("ih", "hh"))
    return UnitSet(
        name=name,
        count=config.width,
        made=tuple(Axis(tensor=f"cells.{tensor}", runs=gates) for tensor in made),
        read=tuple(_readers(config, layer, way)),
    )


def _readers(config: RecurrentConfig, layer: int, way: int) -> Iterator[Axis]:
    """The units themselves, one step later, and the next layer, both ways, or the head; backwards comes second."""
    yield Axis(tensor=f"cells.weight_hh_{_name(layer, way)}", axis=1)
    start = way * config.width
    if layer == config.layers - 1:
        yield Axis(tensor="head.weight", axis=1, start=start)
        return
    for other in range(_ways(config)):
        yield Axis(tensor=f"cells.weight_ih_{_name(layer + 1, other)}", axis=1, start=start)


def _ways(config: RecurrentConfig) -> int:
    return 2 if config.bidirectional else 1


def _name(layer: int, way: int) -> str:
    """As torch has it behind the names of a layer's tensors."""
    return f"l{layer}{'_reverse' if way else ''}"
