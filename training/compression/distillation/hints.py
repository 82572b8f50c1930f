"""Hints: what a teacher's layers make of an input, which a student's are to be like.

Sources: features, A. Romero et al., "FitNets", ICLR 2015, arXiv 1412.6550; attention, S. Zagoruyko, N. Komodakis,
"Paying More Attention to Attention", ICLR 2017, arXiv 1612.03928; relations, W. Wang et al., "MiniLMv2", 2020,
arXiv 2012.15828.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from service.errors import SettingsError
from training.compression.distillation.answers import divergence
from training.compression.distillation.layers import Attending

LEAST = 1e-12
"""What a sum of squares is at least, where something is divided by it."""


def features_apart(found: torch.Tensor, wanted: torch.Tensor, there: torch.Tensor | None = None) -> torch.Tensor:
    """The squared error of features, as a share of the squares of those that are `wanted`: [N].

    Both are maps [N, C, H, W], of which the larger is averaged to the size of the smaller, steps [N, T, W], of which
    those count that are `there` (bool [N, T]), or rows [N, W].
    """
    found, wanted = _there(*_alike(found.float(), wanted.float()), there)
    error, whole = ((found - wanted).flatten(1), wanted.flatten(1))
    return error.square().sum(dim=1) / whole.square().sum(dim=1).clamp(min=LEAST)


def attention_apart(found: torch.Tensor, wanted: torch.Tensor, there: torch.Tensor | None = None) -> torch.Tensor:
    """The squared distance of two maps of attention, each of length 1: [N], between 0 and 2.

    Attention is the mean square of a place's features, which may be of any width: [N, C, H, W], or [N, T, W] with those
    that are `there`. Raises SettingsError for rows, which have no places.
    """
    found, wanted = _alike(found.float(), wanted.float())
    own, aim = _there(_attention(found), _attention(wanted), there)
    own, aim = (functional.normalize(one.flatten(1)) for one in (own, aim))
    return (own - aim).square().sum(dim=1)


def relations_apart(
    found: torch.Tensor, wanted: torch.Tensor, there: torch.Tensor | None, *, student: Attending, teacher: Attending
) -> torch.Tensor:
    """How far the likeness of tokens is from what is `wanted`, in nats: the mean over tokens, heads and kinds, [N].

    Both are queries, keys and values, side by side: [N, T, W], of any width. Of each, tokens are compared by their
    scaled products, in as many heads as student's and teacher's can both be put together to; and only those that are
    `there` (bool [N, T]), each with those that it may look at.
    """
    rows, length = found.shape[:2]
    if there is None:
        there = torch.ones((rows, length), dtype=torch.bool, device=found.device)
    visible = there[:, None].expand(rows, length, length)
    if teacher.causal:
        visible = visible.tril()
    kinds = list(zip(_parts(found, student), _parts(wanted, teacher), strict=True))
    total = torch.zeros(rows, device=found.device)
    for own, aim in kinds:
        heads = math.gcd(own.shape[2] // student.size, aim.shape[2] // teacher.size)
        likeness, other = (_likeness(one.float(), heads, visible) for one in (own, aim))
        each = divergence(likeness, other, axis=3).mean(dim=1) * there  # [N, T]
        total = total + each.sum(dim=1) / there.sum(dim=1).clamp(min=1)
    return total / len(kinds)


def projection(found: torch.Tensor, wanted: torch.Tensor) -> nn.Module:
    """A layer that brings features `found` to the width of those that are `wanted`; nothing where they have it.

    Raises SettingsError if one is of maps and the other isn't.
    """
    if found.dim() != wanted.dim():
        text = f"hints: features {list(found.shape)} can't be like {list(wanted.shape)}"
        raise SettingsError(f"{text}; name layers of one kind in `layers`")
    axis = 1 if found.dim() == 4 else -1
    few, many = found.shape[axis], wanted.shape[axis]
    if few == many:
        return nn.Identity()
    return nn.Conv2d(few, many, 1) if axis == 1 else nn.Linear(few, many)


def _alike(found: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of the same size: each side is that of the smaller one."""
    if found.dim() != 4 or found.shape[2:] == wanted.shape[2:]:
        return found, wanted
    size = min(found.shape[2], wanted.shape[2]), min(found.shape[3], wanted.shape[3])
    return functional.adaptive_avg_pool2d(found, size), functional.adaptive_avg_pool2d(wanted, size)


def _there(found: torch.Tensor, wanted: torch.Tensor, there: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Both, zero at steps that aren't there; those that no text of the batch has may be missing."""
    if there is None or found.dim() != 3:
        return found, wanted
    mask = there[:, : found.shape[1], None]
    return found * mask, wanted * mask


def _attention(features: torch.Tensor) -> torch.Tensor:
    """[N, C, H, W] to [N, 1, H, W], [N, T, W] to [N, T, 1]."""
    if features.dim() < 3:
        raise SettingsError(f"hints: rows {list(features.shape)} have no places to attend to; use `features`")
    return features.square().mean(dim=1 if features.dim() == 4 else -1, keepdim=True)


def _parts(projected: torch.Tensor, shape: Attending) -> tuple[torch.Tensor, ...]:
    """Queries, keys and values [N, T, W / 3 or less] of what lies side by side."""
    width = projected.shape[2] // sum(shape.shares)
    parts: tuple[torch.Tensor, ...] = projected.split([share * width for share in shape.shares], dim=2)  # type: ignore[no-untyped-call]
    return parts


def _likeness(tokens: torch.Tensor, heads: int, visible: torch.Tensor) -> torch.Tensor:
    """Scaled products of `tokens` [N, T, W] with each other: [N, heads, T, T], those that aren't `visible` lowest."""
    rows, length, _ = tokens.shape
    split = tokens.reshape(rows, length, heads, -1).transpose(1, 2)
    scores = split @ split.transpose(2, 3) / math.sqrt(split.shape[3])
    return scores.masked_fill(~visible[:, None], torch.finfo(scores.dtype).min)
