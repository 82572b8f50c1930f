"""Units of a network that are kept or cut, and the cut itself.

A unit is a channel, an attention head, a hidden number of a feed-forward part or of a recurrent layer. It runs through
several tensors: those that make it, the normalisations that it passes through, and those that read it. Cutting is
indexing: the kept slices become the weights of a network built from a smaller config. Nothing is masked, the tensors
are smaller.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from service.errors import ArtifactError

NORMALISATION = ("weight", "bias", "running_mean", "running_var")
"""The tensors of a normalisation; not every kind has all of them."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Where units lie in a tensor of the state dict, along `axis`: from `start` on, all of them `runs` times in a row.

    A unit takes `size` neighbouring places. Gates of an LSTM are four runs, one after the other; a head is as many
    places as it has numbers; of tensors that were joined, the second starts where the first ends.
    """

    tensor: str
    axis: int = 0
    start: int = 0
    runs: int = 1
    size: int = 1

    def places(self, units: torch.Tensor, count: int) -> torch.Tensor:
        """The places of these `units`, int64 [U], of which there are `count` in all: int64 [runs * U * size]."""
        run = torch.arange(self.runs)[:, None, None] * (count * self.size)
        return (self.start + run + units[:, None] * self.size + torch.arange(self.size)).flatten()

    def by_unit(self, tensor: torch.Tensor, count: int) -> torch.Tensor:
        """`tensor` with all numbers of a unit in one row: [count, numbers]."""
        part = tensor.narrow(self.axis, self.start, self.runs * count * self.size).movedim(self.axis, 0)
        return part.reshape(self.runs, count, self.size, -1).transpose(0, 1).reshape(count, -1)


@dataclass(frozen=True, kw_only=True)
class UnitSet:
    """Units among which those to keep are chosen: `count` of them, tied in all the tensors named.

    `made` are the axes along which they are computed, `norms` the normalisations that they pass through, `read` the
    axes along which others take them in. The first `protected` units are never cut. `layer` is the module whose part
    they are, where it can go as a whole; units that are `heads` have its products of activations among themselves.
    """

    name: str
    count: int
    made: tuple[Axis, ...]
    norms: tuple[str, ...] = ()
    read: tuple[Axis, ...]
    protected: int = 0
    layer: str = ""
    heads: bool = False

    def axes(self, tensors: Mapping[str, object]) -> Iterator[Axis]:
        """All axes along which these units lie, with those of normalisations as far as they are among `tensors`."""
        yield from self.made
        for norm in self.norms:
            yield from (axis for axis in norm_axes(norm) if axis.tensor in tensors)
        yield from self.read


@dataclass(frozen=True, kw_only=True)
class Units:
    """A number of a config that may shrink: how many units there are in each of `sets`, which choose their own.

    They go in `step`s, and `least` of them stay. Channels go by the multiple that is asked for (`step` 0); heads one by
    one. A `layer` is a unit by itself: it is there or not, with all that is in it.
    """

    name: str
    count: int
    sets: tuple[UnitSet, ...] = ()
    step: int = 0
    least: int = 1
    layer: str = ""

    @property
    def what(self) -> str:
        """The name without its number: what kind of units these are."""
        return self.name.rstrip("0123456789")


def unit_sets(units: Sequence[Units]) -> tuple[UnitSet, ...]:
    """All sets of these units."""
    return tuple(one for number in units for one in number.sets)


def norm_axes(norm: str) -> tuple[Axis, ...]:
    """Where units lie in a normalisation."""
    return tuple(Axis(tensor=f"{norm}.{name}") for name in NORMALISATION)


def output_axes(*modules: str, bias: bool = True, runs: int = 1, size: int = 1) -> tuple[Axis, ...]:
    """Where units lie in the weights, and biases, of linear layers and convolutions that make them."""
    names = ("weight", "bias") if bias else ("weight",)
    return tuple(Axis(tensor=f"{module}.{name}", runs=runs, size=size) for module in modules for name in names)


def input_axes(*modules: str, start: int = 0, size: int = 1) -> tuple[Axis, ...]:
    """Where units lie in the weights of linear layers and convolutions that read them."""
    return tuple(Axis(tensor=f"{module}.weight", axis=1, start=start, size=size) for module in modules)


def channels(name: str, count: int, *, convolutions: Sequence[str], read: tuple[Axis, ...]) -> UnitSet:
    """Channels that come out of all these `convolutions`, each with its normalisation, as `conv_norm` builds them."""
    return UnitSet(
        name=name,
        count=count,
        made=output_axes(*(f"{module}.0" for module in convolutions), bias=False),
        norms=tuple(f"{module}.1" for module in convolutions),
        read=read,
    )


def cut(
    weights: Mapping[str, torch.Tensor],
    units: Sequence[Units],
    kept: Mapping[str, torch.Tensor],
    dropped: Sequence[str] = (),
) -> dict[str, torch.Tensor]:
    """The weights with only the units `kept` of each set: its name to their positions, int64 [U]; in memory of its own.

    Layers `dropped`, names of modules such as `layers.2`, are left out, and those behind them move up. Raises
    ArtifactError if the weights are those of another network.
    """
    check_weights(weights, units)
    stays: dict[tuple[str, int], torch.Tensor] = {}
    for one in unit_sets(units):
        gone = torch.ones(one.count, dtype=torch.bool)
        gone[kept[one.name]] = False
        for axis in one.axes(weights):
            mask = stays.setdefault(
                (axis.tensor, axis.axis), torch.ones(weights[axis.tensor].shape[axis.axis], dtype=torch.bool)
            )
            mask[axis.places(gone.nonzero().flatten(), one.count)] = False
    left = dict(weights)
    for (name, axis_number), mask in stays.items():
        left[name] = left[name].index_select(axis_number, mask.nonzero().flatten())
    return {name: tensor.clone() for name, tensor in _renumbered(left, dropped).items()}


def check_weights(weights: Mapping[str, torch.Tensor], units: Sequence[Units]) -> None:
    """Raise ArtifactError that names a tensor unless all units have their places in these `weights`."""
    for one in unit_sets(units):
        for axis in (*one.made, *one.read):
            if axis.tensor not in weights:
                raise ArtifactError(f"{axis.tensor}: isn't in these weights, which are those of another architecture")
            shape = weights[axis.tensor].shape
            needed = axis.start + axis.runs * axis.size * one.count
            if len(shape) <= axis.axis or shape[axis.axis] < needed:
                text = f"{axis.tensor}: is {list(shape)}, and by its config axis {axis.axis} has at least {needed}"
                raise ArtifactError(f"{text}; these weights are those of another architecture")


def _renumbered(weights: Mapping[str, torch.Tensor], dropped: Sequence[str]) -> dict[str, torch.Tensor]:
    """Without the layers `dropped`; those behind them are counted on from where the gap was."""
    left = {}
    for name, tensor in weights.items():
        if any(name.startswith(f"{layer}.") for layer in dropped):
            continue
        moved = name
        for layer in dropped:
            stack, _, number = layer.rpartition(".")
            place, _, rest = name.removeprefix(f"{stack}.").partition(".")
            if name.startswith(f"{stack}.") and int(place) > int(number):
                before = int(moved.removeprefix(f"{stack}.").partition(".")[0])
                moved = f"{stack}.{before - 1}.{rest}"
        left[moved] = tensor
    return left
