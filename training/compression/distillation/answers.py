"""How far a student's answers are from its teacher's, for each task.

What is compared is summed over inputs, each of which weighs what it weighs in the task's own loss. So all terms of a
student's loss are means over the same, and a batch that is shared or accumulated teaches what it teaches as a whole.

Sources: softened answers, G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv
1503.02531; likeness within a batch, F. Tung, G. Mori, "Similarity-Preserving Knowledge Distillation", 2019, arXiv
1907.09682, here as in the student's own contrastive loss.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from service.errors import SettingsError
from training.data.batches import Batch
from training.data.split import NO_TAG
from training.tasks.classification import Classification, label_weights
from training.tasks.contrastive import Contrastive
from training.tasks.detection import Detection
from training.tasks.next_token import NextToken
from training.tasks.reconstruction import Reconstruction, cross_entropy
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation
from training.tasks.tagging import Tagging
from training.tasks.task import Task

Answer: TypeAlias = Any
"""What a network answers: a tensor [N, ...], or several of them."""
Weights: TypeAlias = torch.Tensor
"""How much each input of a batch counts in its task's loss, float32 [N]: their sum is what that is the mean over."""
OFF = 0.01
"""What probabilities may miss a sum of 1 by: those of a quantized model are rounded."""


def divergence(found: torch.Tensor, wanted: torch.Tensor, *, axis: int, temperature: float = 1.0) -> torch.Tensor:
    """Kullback and Leibler's, in nats, of softened logits from those that are `wanted`: of the same shape, less `axis`.

    Both are divided by `temperature`, so that small probabilities count; the factor of its square keeps the gradient as
    large at any temperature. Wanted may be probabilities, whose logarithms are logits.
    """
    aim = functional.log_softmax(as_logits(wanted.float(), axis) / temperature, dim=axis)
    own = functional.log_softmax(found.float() / temperature, dim=axis)
    return temperature**2 * functional.kl_div(own, aim, reduction="none", log_target=True).sum(dim=axis)


def as_logits(answers: torch.Tensor, axis: int) -> torch.Tensor:
    """Logits of `answers`, which may be probabilities: nowhere below 0, and 1 in all along the `axis`."""
    if answers.numel() and bool((answers >= 0).all()) and bool(((answers.sum(dim=axis) - 1).abs() < OFF).all()):
        return answers.clamp(min=torch.finfo(answers.dtype).tiny).log()
    return answers


def weights_of(task: Task, batch: Batch) -> Weights:
    """How much each input of `batch` counts in the loss of `task`."""
    targets = batch.targets
    if isinstance(task, Classification) and task.class_weights:
        return label_weights(targets, torch.tensor(task.class_weights, device=targets.device))
    if isinstance(task, Tagging):
        return (targets != NO_TAG).sum(dim=1).float()
    if isinstance(task, Detection):
        return (targets[..., 0] >= 0).sum(dim=1).float()
    if isinstance(task, Contrastive):
        return ((targets[:, None] == targets[None]).sum(dim=1) > 1).float()
    return torch.ones(len(batch.inputs), device=batch.inputs.device)


def teachable(task: Task) -> bool:
    """Whether answers to `task` can be compared with a teacher's."""
    return type(task) in _MEASURES


def check_task(task: Task) -> None:
    """Raise SettingsError unless answers to `task` can be compared with a teacher's."""
    if not teachable(task):
        known = ", ".join(sorted(one.__name__ for one in _MEASURES))
        raise SettingsError(f"task: {type(task).__name__} can't be learnt from a teacher; what can is {known}")


def united(task: Task, answers: Sequence[Answer]) -> Answer:
    """What several networks answer to `task` together, in the form of their own `answers`.

    It is the mean: of logits, that is the geometric mean of probabilities. Embeddings, whose axes mean something else
    in each network, stand side by side instead: two inputs are then as much alike as in the mean over the networks.
    """
    if isinstance(task, Contrastive):
        return torch.cat(list(answers), dim=1) / math.sqrt(len(answers))
    if isinstance(answers[0], torch.Tensor):
        return torch.stack(list(answers)).mean(dim=0)
    return tuple(torch.stack(parts).mean(dim=0) for parts in zip(*answers, strict=True))


def apart(task: Task, found: Answer, wanted: Answer, batch: Batch, temperature: float) -> torch.Tensor:
    """How far answers `found` to `batch` are from those that are `wanted`, a sum over inputs by their weights.

    It is 0 where they are the same. `task` is one that passes `check_task`. Raises SettingsError where answers can't be
    compared.
    """
    if not isinstance(task, Contrastive):  # whose embeddings are only compared with each other
        _check_alike(found, wanted)
    return _MEASURES[type(task)](task, found, wanted, batch, temperature)


def _check_alike(found: Answer, wanted: Answer) -> None:
    own, others = (
        [list(one.shape) for one in ([answer] if isinstance(answer, torch.Tensor) else answer)]
        for answer in (found, wanted)
    )
    if own != others:
        texts = (", ".join(map(str, shapes)) for shapes in (others, own))
        raise SettingsError("teacher: answers {}, the student {}; classes or vocabulary differ".format(*texts))


def _classes(
    task: Classification, found: torch.Tensor, wanted: torch.Tensor, batch: Batch, temperature: float
) -> torch.Tensor:
    return (weights_of(task, batch) * divergence(found, wanted, axis=1, temperature=temperature)).sum()


def _tokens(_: NextToken, found: torch.Tensor, wanted: torch.Tensor, __: Batch, temperature: float) -> torch.Tensor:
    return divergence(found, wanted, axis=2, temperature=temperature).mean(dim=1).sum()


def _tags(_: Tagging, found: torch.Tensor, wanted: torch.Tensor, batch: Batch, temperature: float) -> torch.Tensor:
    tagged = batch.targets != NO_TAG
    return divergence(found[tagged], wanted[tagged], axis=1, temperature=temperature).sum()


def _pixels(_: Segmentation, found: torch.Tensor, wanted: torch.Tensor, __: Batch, temperature: float) -> torch.Tensor:
    return divergence(found, wanted, axis=1, temperature=temperature).mean(dim=(1, 2)).sum()


def _values(task: Regression, found: torch.Tensor, wanted: torch.Tensor, _: Batch, __: float) -> torch.Tensor:
    """By the task's own error, in its unit."""
    return task.error_of(found - wanted) * len(found)


def _images(task: Reconstruction, found: torch.Tensor, wanted: torch.Tensor, _: Batch, __: float) -> torch.Tensor:
    """Squared errors, or cross entropies less what is left of them where nothing differs."""
    if task.error == "squared":
        return functional.mse_loss(found, wanted) * len(found)
    return (cross_entropy(found, wanted) - cross_entropy(wanted, wanted)).mean() * len(found)


def _likeness(task: Contrastive, found: torch.Tensor, wanted: torch.Tensor, batch: Batch, _: float) -> torch.Tensor:
    """By which others an input is like, at the task's own temperature; embeddings may differ in width."""
    alone = torch.eye(len(found), dtype=torch.bool, device=found.device)
    near, aim = (
        (one.float() @ one.float().T / task.temperature).masked_fill(alone, torch.finfo(torch.float32).min)
        for one in (found, wanted)
    )
    return (weights_of(task, batch) * divergence(near, aim, axis=1)).sum()


def _maps(task: Detection, found: Answer, wanted: Answer, _: Batch, temperature: float) -> torch.Tensor:
    """Of every cell and class whether it is a centre; where the teacher sees one, where its sides lie.

    Source of the latter: Z. Zheng et al., "Localization Distillation for Dense Object Detection", CVPR 2022, arXiv
    2102.12252.
    """
    (heat, sides), (aim, lie) = found, wanted
    centre, off = functional.logsigmoid(aim.float() / temperature), functional.logsigmoid(-aim.float() / temperature)
    own, none = functional.logsigmoid(heat.float() / temperature), functional.logsigmoid(-heat.float() / temperature)
    heated = temperature**2 * (centre.exp() * (centre - own) + off.exp() * (off - none)).sum()
    seen = torch.sigmoid(aim.float()).amax(dim=1)  # [N, H, W]
    pixels, where = (one.unflatten(1, (4, -1)) for one in (sides, lie))  # [N, 4, reach, H, W]
    apart = divergence(pixels, where, axis=2, temperature=temperature).mean(dim=1)
    total: torch.Tensor = heated + task.sides * (seen * apart).sum()
    return total


_MEASURES: Mapping[type[Any], Callable[..., torch.Tensor]] = {
    Classification: _classes,
    Contrastive: _likeness,
    Detection: _maps,
    NextToken: _tokens,
    Reconstruction: _images,
    Regression: _values,
    Segmentation: _pixels,
    Tagging: _tags,
}
