"""The layers of a network: what they are called, what they put out, and which of a teacher's a student's stand for."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from service.errors import SettingsError
from training.data.split import Array
from training.networks.catalogue import kind_of
from training.networks.layers import ACTIVATIONS
from training.seeding import seeded
from training.suggestion import suggestion

Seen = Mapping[str, torch.Tensor]
"""What modules put out, by their names."""
ANY = (nn.Module,)
ACTIVATION = tuple(ACTIVATIONS.values())
LAYERS: Mapping[str, tuple[str, tuple[type[nn.Module], ...]]] = {
    "autoencoder": (r"(encoder|decoder)\.\d+", (nn.ReLU,)),
    "decoder": (r"layers\.\d+", ANY),
    "depthwise": (r"stages\.\d+", ANY),
    "detector": (r"stages\.\d+", ANY),
    "encoder": (r"layers\.\d+", ANY),
    "mlp": (r"hidden\.\d+", ACTIVATION),
    "recurrent": ("cells", ANY),
    "resnet": (r"stages\.\d+", ANY),
    "unet": (r"(inwards|outwards)\.\d+", ANY),
}
"""Of each kind of network, the modules that follow each other in depth: what they are called, and what they are."""


@dataclass(frozen=True, kw_only=True)
class Attending:
    """How the layers of a transformer look at tokens.

    `modules` of each layer put out queries, keys and values, side by side, which have these `shares` of it and are of
    heads of one `size`; layers may differ in how many. Where it is `causal`, tokens see only those before them.
    """

    modules: tuple[str, ...]
    shares: tuple[int, int, int]
    size: int
    causal: bool


def attending(network: nn.Module) -> Attending:
    """How `network` attends. Raises SettingsError if it is no transformer of ours."""
    config: Any = getattr(network, "config", None)
    kind = _kind(network)
    if kind == "encoder":
        return Attending(modules=("query_key_value",), shares=(1, 1, 1), size=config.size_of_head, causal=False)
    if kind == "decoder":
        shares = (config.heads, config.cache_heads, config.cache_heads)
        modules = ("attention.query", "attention.key_value")
        return Attending(modules=modules, shares=shares, size=config.size_of_head, causal=True)
    raise SettingsError(f"hints: relations are those of a transformer's tokens, and this is a network of kind {kind}")


def layers_of(network: nn.Module, inputs: Array) -> tuple[str, ...]:
    """The names of the layers of `network`, in the order in which they compute `inputs`.

    Raises SettingsError if that isn't known of its kind, or it has none.
    """
    if (kind := _kind(network)) not in LAYERS:
        raise SettingsError(f"hints: a network of kind {kind} doesn't tell its layers; name them in `layers`")
    pattern, classes = LAYERS[kind]
    there = [
        name for name, module in network.named_modules() if re.fullmatch(pattern, name) and isinstance(module, classes)
    ]
    if not there:
        raise SettingsError(f"hints: this network of kind {kind} has no layer between its inputs and its answer")
    return tuple(put_out(network, there, inputs))


def put_out(network: nn.Module, names: Iterable[str], inputs: Array) -> Seen:
    """What the modules `names` put out for `inputs` [N, ...], in the order in which they do; `network` is as it was."""
    training = network.training
    device = next((one.device for one in network.parameters()), torch.device("cpu"))
    with torch.no_grad(), seeded(0), tapped(network.eval(), names) as seen:
        network(torch.from_numpy(inputs).to(device))
    network.train(training)
    return seen


@contextmanager
def tapped(network: nn.Module, names: Iterable[str]) -> Iterator[Seen]:
    """Within it, what the modules `names` of `network` put out the last time, float tensors [N, ...]."""
    seen: dict[str, torch.Tensor] = {}

    def tap(name: str) -> Any:
        return network.get_submodule(name).register_forward_hook(
            lambda _, __, answer: seen.update({name: _tensor(answer)})
        )

    hooks = [tap(name) for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def check_layers(network: nn.Module, names: Iterable[str], whose: str) -> None:
    """Raise SettingsError that suggests the nearest, unless these are modules of the network."""
    known = [name for name, _ in network.named_modules() if name]
    for name in names:
        if name not in known:
            nearest = suggestion(name, known)
            told = nearest if nearest.startswith(",") else suggestion("", [one for one in known if "." not in one])
            raise SettingsError(f"hints: the {whose} has no layer `{name}`{told}")


def by_depth(student: Sequence[str], teacher: Sequence[str]) -> dict[str, str]:
    """Each layer of the student with one of the teacher's, evenly spread; the last ones stand for each other.

    Source: X. Jiao et al., "TinyBERT", 2020, arXiv 1909.10351.
    """
    return {name: teacher[place] for name, place in zip(student, spread(len(student), len(teacher)), strict=True)}


def spread(few: int, many: int) -> tuple[int, ...]:
    """For each of `few` places in order one of `many`: the last of its share."""
    return tuple(max(0, -(-(place + 1) * many // few) - 1) for place in range(few))


def _kind(network: nn.Module) -> str:
    try:
        return kind_of(getattr(network, "config", None))
    except ValueError:
        return type(network).__name__


def _tensor(answer: Any) -> torch.Tensor:
    """What a module put out: of several tensors the first, of packed texts each by itself [N, T, W]."""
    first = answer if isinstance(answer, torch.Tensor | PackedSequence) else answer[0]
    padded: torch.Tensor = (
        pad_packed_sequence(first, batch_first=True)[0] if isinstance(first, PackedSequence) else first
    )
    return padded
