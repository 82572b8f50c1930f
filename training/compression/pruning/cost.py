"""What a network takes to answer one input: weights, and multiplications, each with its addition.

Both are counted while the network answers, whatever its kind. They are kept tensor by tensor, so that what a smaller
network would take is arithmetic: thousands of configs are priced without one of them being built.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from training.compression.pruning.units import Units

LINEAR = {torch.nn.functional.linear}
CONVOLUTIONS = {torch.conv1d, torch.conv2d, torch.conv3d}
TRANSPOSED = {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
RECURRENT = {torch.lstm, torch.gru, torch.rnn_tanh}
ATTENTION = {torch.nn.functional.scaled_dot_product_attention}
PRODUCTS = {torch.matmul, torch.bmm, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.Tensor.bmm}


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network takes: multiplications (each with its addition) for one input, and weights."""

    multiply_adds: int
    parameters: int

    def __str__(self) -> str:
        return f"{self.multiply_adds:,} multiplications and {self.parameters:,} weights"

    def fits(self, limit: "Cost") -> bool:
        """True when neither measure is beyond the limit."""
        return self.multiply_adds <= limit.multiply_adds and self.parameters <= limit.parameters

    def saving(self, offer: "Cost", limit: "Cost") -> float:
        """What `offer` saves, in shares of the limit, added up over the measures that are beyond it now."""
        pairs = (
            (self.multiply_adds, offer.multiply_adds, limit.multiply_adds),
            (self.parameters, offer.parameters, limit.parameters),
        )
        return sum((now - then) / most for now, then, most in pairs if now > most)


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """Weights that an answer takes: their `shape`, and how many times each of them is multiplied by something."""

    shape: tuple[int, ...]
    uses: int


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What one answer of a network takes, by tensor, and by layer what attention multiplies without weights.

    `units` are those of the network, whose numbers the shapes follow.
    """

    tensors: Mapping[str, Tensor]
    products: Mapping[str, int]
    units: tuple[Units, ...]

    def cost(self, counts: Mapping[str, int]) -> Cost:
        """What the network takes with these `counts` of its units, all of them named."""
        dropped = tuple(f"{one.layer}." for one in self.units if one.layer and not counts[one.name])
        adds = parameters = 0
        for name, tensor in self.tensors.items():
            if name.startswith(dropped):
                continue
            size = math.prod(
                length - sum(places * (count - counts[units]) for units, count, places in cuts)
                for length, cuts in zip(tensor.shape, self._cuts[name], strict=True)
            )
            parameters += size
            adds += size * tensor.uses
        for module, products in self.products.items():
            if not f"{module}.".startswith(dropped):
                heads = self._heads.get(module)
                adds += products * counts[heads.name] // heads.count if heads else products
        return Cost(multiply_adds=adds, parameters=parameters)

    @cached_property
    def _cuts(self) -> Mapping[str, Sequence[list[tuple[str, int, int]]]]:
        """For each axis of each tensor what makes it shorter: which units, how many there are, and places of each."""
        cuts: dict[str, Sequence[list[tuple[str, int, int]]]] = {
            name: [[] for _ in tensor.shape] for name, tensor in self.tensors.items()
        }
        for units in self.units:
            for axis in (axis for one in units.sets for axis in one.axes(self.tensors) if axis.tensor in cuts):
                cuts[axis.tensor][axis.axis].append((units.name, units.count, axis.runs * axis.size))
        return cuts

    @cached_property
    def _heads(self) -> Mapping[str, Units]:
        """The units that the products of a module are of, heads, by module."""
        return {
            module: units
            for units in self.units
            for one in units.sets
            for module in self.products
            if one.heads and f"{module}.".startswith(f"{one.layer}.")
        }


def counts_of(units: Sequence[Units]) -> dict[str, int]:
    """How many there are of each."""
    return {one.name: one.count for one in units}


def measure(network: nn.Module, units: Sequence[Units], ask: Callable[[nn.Module], Any]) -> Ledger:
    """What a network takes for one answer: what happens while `ask` asks it about one input.

    Weights that this doesn't touch aren't counted: of two networks against each other, those of the one that isn't
    served. The network is asked, and left, in evaluation mode. Masks of what is padding, and normalisations, are no
    multiplications here, as in most counts.
    """
    names = {id(weights): name for name, weights in network.named_parameters()}
    with torch.inference_mode(), _under_way(network) as modules, _Counting(names, modules) as counting:
        ask(network.eval())
    shapes = {name: tuple(weights.shape) for name, weights in network.named_parameters()}
    return Ledger(
        tensors={name: Tensor(shape=shapes[name], uses=uses) for name, uses in counting.uses.items()},
        products=counting.products,
        units=tuple(units),
    )


class _Counting(TorchFunctionMode):
    """Looks at every call of torch: how often it multiplies which weights, and activations with each other."""

    def __init__(self, names: Mapping[int, str], modules: Sequence[str]) -> None:
        super().__init__()
        self.uses: dict[str, int] = {}
        self.products: dict[str, int] = {}
        self._names = names
        self._modules = modules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        times = self._times(func, args, out)
        for tensor in _tensors((args, kwargs)):
            if name := self._names.get(id(tensor)):
                matrix = tensor.dim() > 1
                self.uses[name] = self.uses.get(name, 0) + (times if matrix else 0)
        if products := _products(func, args, out):
            module = self._modules[-1] if self._modules else ""
            self.products[module] = self.products.get(module, 0) + products
        return out

    @staticmethod
    def _times(func: Any, args: Any, out: Any) -> int:
        """How many times each weight of the call is multiplied."""
        if func in LINEAR or func in RECURRENT:
            return int(args[0].numel() // args[0].shape[-1])
        if func in CONVOLUTIONS:
            return int(out.numel() // args[1].shape[0])
        if func in TRANSPOSED:
            return int(args[0].numel() // args[1].shape[0])
        return 0


@contextmanager
def _under_way(network: nn.Module) -> Iterator[list[str]]:
    """The names of the network's modules that are answering, the innermost last."""
    names: list[str] = []
    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: names.append(name)))
        hooks.append(module.register_forward_hook(lambda *_: _left(names)))
    try:
        yield names
    finally:
        for hook in hooks:
            hook.remove()


def _left(names: list[str]) -> None:
    names.pop()


def _products(func: Any, args: Any, out: Any) -> int:
    """How many multiplications of activations with each other a call takes."""
    if func in ATTENTION:
        query, key, value = args[:3]
        scores = query.numel() // query.shape[-1] * key.shape[-2]
        return int(scores * (query.shape[-1] + value.shape[-1]))
    if func in PRODUCTS and not any(isinstance(one, nn.Parameter) for one in args[:2]):
        return int(out.numel() * args[0].shape[-1])
    return 0


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in the arguments of a call."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)
