"""Students: smaller networks of their teacher's kind, which begin with what they can take over from it.

Source of layers that are taken over: V. Sanh et al., "DistilBERT", 2019, arXiv 1910.01108.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any, TypeAlias

import torch
from torch import nn

from service.errors import SettingsError
from training.compression.distillation.layers import spread
from training.compression.pruning.allocation import STEP
from training.networks.catalogue import kind_of
from training.networks.layers import WIDENING

SHARES = tuple(part / 16 for part in range(1, 17))
"""Of the width, and of the depth, that students are looked for with."""
FEEDS = (1.0, 0.5, 0.25)
"""Of the width of a transformer's feed-forward part."""
ALIKE = 1.1
"""Of costs that are nearer to each other than by this factor none is the better one."""
NEAR = 1.25
"""What a shallow student's cost may miss its share by: there are fewer of them to choose from."""
NUMBERED: Mapping[str, str] = {
    "decoder": r"layers\.(\d+)\.",
    "depthwise": r"stages\.(\d+)\.",
    "encoder": r"layers\.(\d+)\.",
    "recurrent": r"_l(\d+)",
    "resnet": r"stages\.(\d+)\.",
}
"""What the names of weights say of the layer that they belong to, where a smaller network may have fewer."""

NEVER = r"(?!)"
Weights: TypeAlias = Mapping[str, torch.Tensor]


def smaller(config: Any, *, width: float = 1.0, depth: float = 1.0, feed: float = 1.0) -> Any:
    """The config of a network of the same kind with these shares of its width and of the number of its layers.

    A transformer has the share `feed` of the feed-forward part that goes with its width.

    Widths are rounded to multiples of 16, below that of 8. Heads keep their size, and there are fewer.
    Where layers differ from each other, as the stages of a network for images do, all of them stay.
    Raises SettingsError if that isn't known of the kind, ValueError if no such network can be built.
    """
    narrow = {key: _narrowed(getattr(config, key), width) for key in ("widths", "inner") if hasattr(config, key)}
    match kind_of(config):
        case "autoencoder" | "variational" | "unet" | "detector":
            return replace(config, **narrow)
        case "mlp":
            kept = spread(_fewer(len(config.widths), depth), len(config.widths)) if config.widths else ()
            return replace(config, widths=tuple(narrow["widths"][place] for place in kept))
        case "resnet" | "depthwise":
            blocks = _fewer(config.blocks, depth)
            if blocks != config.blocks and "inner" in narrow:
                narrow["inner"] = ()
            return replace(config, **narrow, blocks=blocks)
        case "encoder":
            return _encoder(config, width, depth, feed)
        case "decoder":
            return _decoder(config, width, depth, feed)
        case "recurrent":
            return replace(config, width=_narrow(config.width, width), layers=_fewer(config.layers, depth))
        case kind:
            raise SettingsError(f"student: how a network of kind {kind} is made smaller isn't known; name its config")


def student_of(config: Any, share: float, cost: Callable[[Any], float], *, shallow: bool = False) -> Any:
    """The smaller config whose `cost` is nearest to the `share` of that of `config`, as a ratio.

    Of those that are alike the deepest is taken, as thin and deep students did best in FitNets; if it is to be
    `shallow`, that with the fewest layers of those that are near. Raises SettingsError as `smaller` does, also where
    there is none that costs less.
    """
    if not 0 < share < 1:
        raise SettingsError("student: its share of the cost must be above 0 and below 1")
    whole = cost(config)
    offers: dict[Any, tuple[float, float]] = {}
    sizes = product(reversed(SHARES), reversed(SHARES), FEEDS)
    for depth, width, feed in sizes:
        offer = smaller(config, width=width, depth=depth, feed=feed)
        if offer not in offers and (now := cost(offer)) < whole:
            offers[offer] = abs(math.log(now / (share * whole))), depth
    if not offers:
        raise SettingsError("student: there is no smaller network of this kind")
    nearest, _ = min(offers.values())
    if shallow:
        near = [one for one, (miss, _) in offers.items() if miss <= max(nearest, math.log(NEAR))]
        return min(near, key=lambda one: offers[one][::-1])
    return next(offer for offer, (miss, _) in offers.items() if miss <= nearest + math.log(ALIKE))


def without_layers(config: Any) -> Any | None:
    """The config of a network that takes a text for the mean of its tokens, in whatever order; None for other kinds.

    What a text is about is often told by its words, as in "Deep Unordered Composition Rivals Syntactic Methods for Text
    Classification" (M. Iyyer et al., 2015), at a thousandth of the multiplications.
    """
    if kind_of(config) != "encoder" or config.head == "tokens" or not config.layers:
        return None
    return replace(config, layers=0, layer_heads=(), feeds=())


def inherit(student: nn.Module, teacher: nn.Module) -> tuple[str, ...]:
    """Begin `student` with the weights of `teacher` that fit it, and return their names.

    Of the teacher's layers that have the same shapes as one of the student's, it takes over the one that is nearest to
    its place in depth. What is in no layer, as embeddings and heads, is taken over by its name.
    """
    mine, theirs = student.state_dict(), teacher.state_dict()
    config: Any = getattr(student, "config", None)
    pattern = NUMBERED.get(kind_of(config), NEVER)
    kept = {
        name: theirs[name]
        for name, value in mine.items()
        if not re.search(pattern, name) and name in theirs and theirs[name].shape == value.shape
    }
    own, others = _layers(mine, pattern), _layers(theirs, pattern)
    for layer, place in zip(own, spread(len(own), len(others)) if own and others else (), strict=False):
        alike = [number for number, other in enumerate(others) if _shapes(layer, mine) == _shapes(other, theirs)]
        if alike:
            nearest = others[min(alike, key=lambda number: (abs(number - place), number))]
            kept |= {name: theirs[nearest[part]] for part, name in layer.items()}
    student.load_state_dict({**mine, **kept})
    return tuple(kept)


def _layers(weights: Weights, pattern: str) -> list[dict[str, str]]:
    """The names of the weights of each layer, by what they are called in all layers."""
    layers: dict[int, dict[str, str]] = {}
    for name in weights:
        if found := re.search(pattern, name):
            layers.setdefault(int(found[1]), {})[f"{name[: found.start(1)]}*{name[found.end(1) :]}"] = name
    return [layers[number] for number in sorted(layers)]


def _shapes(layer: Mapping[str, str], weights: Weights) -> dict[str, torch.Size]:
    return {part: weights[name].shape for part, name in layer.items()}


def _fewer(count: int, share: float) -> int:
    return min(count, max(1, round(count * share)))


def _narrow(width: int, share: float) -> int:
    """A multiple of 16, or of 8, if that leaves something, and never more than there was."""
    wanted = share * width
    step = next((step for step in (STEP, STEP // 2) if wanted >= step), 1)
    return min(width, max(1, step * round(wanted / step)))


def _narrowed(widths: tuple[int, ...], share: float) -> tuple[int, ...]:
    return tuple(_narrow(width, share) for width in widths)


def _encoder(config: Any, width: float, depth: float, feed: float) -> Any:
    heads, layers = _fewer(config.heads, width), _fewer(config.layers, depth)
    if not (config.head_size or config.layer_heads or config.feeds):
        return replace(config, **_transformer(config, heads, layers, feed))
    kept = [config.shapes[place] for place in spread(layers, config.layers)]
    found = replace(
        config,
        **_shaped(config, layers, width),
        layer_heads=tuple(_fewer(one.heads, width) for one in kept),
        feeds=tuple(_narrow(one.feed, width * feed) for one in kept),
    )
    return config if (found.width, found.shapes) == (config.width, config.shapes) else found


def _decoder(config: Any, width: float, depth: float, feed: float) -> Any:
    heads, layers = _fewer(config.heads, width), _fewer(config.layers, depth)
    cached = max(one for one in range(1, config.cache_heads + 1) if heads % one == 0)
    grouped = {"cache_heads": cached, "induction_heads": min(config.induction_heads, cached)}
    if not (config.head_size or config.feeds):
        return replace(config, **_transformer(config, heads, layers, feed), **grouped)
    kept = [config.feed_widths[place] for place in spread(layers, config.layers)]
    feeds = tuple(_narrow(one, width * feed) for one in kept)
    return replace(config, **_shaped(config, layers, width), heads=heads, feeds=feeds, **grouped)


def _shaped(config: Any, layers: int, width: float) -> dict[str, int]:
    """What of a transformer is said of all layers, where its parts have shapes of their own."""
    return {"layers": layers, "width": _narrow(config.width, width), "head_size": config.size_of_head}


def _transformer(config: Any, heads: int, layers: int, feed: float) -> dict[str, Any]:
    width = heads * (config.width // config.heads)
    feeds = (_narrow(WIDENING * width, feed),) * layers if feed < 1 else ()
    return {"heads": heads, "width": width, "layers": layers, "feeds": feeds}
