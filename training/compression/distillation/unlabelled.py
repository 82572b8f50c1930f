"""Inputs that nobody has labelled: a teacher labels them. Where there are no inputs either, some are drawn."""

import numpy as np

from service.errors import SettingsError
from training.data.split import NO_BOX, NO_TAG, Array, Split
from training.graph import Tensor
from training.tasks.classification import Classification
from training.tasks.detection import Detection
from training.tasks.next_token import NextToken
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation
from training.tasks.tagging import Tagging
from training.tasks.task import Task

LENGTH = 32
"""How long an axis is that varies besides the batch, where inputs are drawn."""


def labelled(task: Task, inputs: Array, answers: Array, *, least: float = 0.3) -> Split:
    """`inputs` [N, ...] with the targets that a teacher's `answers` [N, ...] to them are for `task`.

    Of logits or probabilities that is the likeliest class, of a served detector those boxes that are at least as likely
    as `least`. Metrics then say how far a student agrees with its teacher. Tasks that look at no target get labels 0,
    and so do contrastive ones, for which `soft` has to be 1.
    """
    sources = np.arange(len(inputs))
    return Split(inputs=inputs, targets=_targets(task, inputs, answers, least), sources=sources)


def drawn(tensor: Tensor, count: int, seed: int, *, within: tuple[float, float] | None = None) -> Array:
    """`count` inputs [N, ...] of the shape of `tensor`, each number drawn alike from `within`, lowest and highest.

    This is weak: what a teacher answers to noise says little of what it answers to what it was made for. A student that
    was shown noise for handwritten digits agreed with its teacher hardly more often than by chance (measured once).
    Floats are standard normal where no range is named, bytes any. Raises SettingsError where a range is needed.
    """
    random = np.random.default_rng(seed)
    shape = (count, *(LENGTH if side < 0 else side for side in tensor.dims[1:]))
    if tensor.dtype.kind == "f":
        found = random.uniform(within[0], within[1], shape) if within else random.standard_normal(shape)
        return found.astype(tensor.dtype)
    if within is None and tensor.dtype != np.uint8:
        raise SettingsError(f"{tensor.name}: says nothing of its range; name the lowest and the highest number")
    low, high = within or (0, 255)
    return random.integers(int(low), int(high), shape, endpoint=True).astype(tensor.dtype)


def _targets(task: Task, inputs: Array, answers: Array, least: float) -> Array:
    labels = np.zeros(len(inputs), dtype=np.int64)
    if isinstance(task, Regression):
        return answers.astype(np.float32)
    if isinstance(task, Detection):
        likely = (answers[..., :1] != NO_BOX) & (answers[..., 1:2] >= least)
        kind, edges = np.where(likely, answers[..., :1], NO_BOX), np.where(likely, answers[..., 2:], 0)
        return np.concatenate([kind, edges], axis=-1).astype(np.float32)
    if isinstance(task, Segmentation) and answers.ndim == inputs.ndim - 1:  # as masks are served
        labels = answers
    elif isinstance(task, Classification | Segmentation):
        labels = answers.argmax(axis=1)
    elif isinstance(task, NextToken | Tagging):
        labels = answers.argmax(axis=2)
    if isinstance(task, Tagging):
        labels = np.where(inputs != 0, labels, NO_TAG)
    return labels.astype(np.int64)
