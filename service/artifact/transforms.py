"""What the transforms on a card make, and whether it fits the model."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from service.artifact.card import Grayscale, Resize, Tokenize, ToTensor, Transform, Transforms
from service.artifact.lengths import LENGTH, Length
from service.artifact.signature import TensorSpec
from service.errors import ArtifactError

Medium: TypeAlias = Literal["picture", "text"]


def tokenizer_file(transforms: Transforms) -> str:
    """The file of the tokenizer; empty for pictures. Those of a card that was checked have one at most."""
    return next((step.file for steps in transforms.values() for step in steps if isinstance(step, Tokenize)), "")


def made_tensors(transforms: Transforms, *, source: str) -> tuple[TensorSpec, ...]:
    """What is made of one picture, or of one text, without a batch axis; -1 for what depends on it.

    Raises ArtifactError, beginning with `source`, for steps that lead to no tensor.
    """
    if len({_file(name, steps, source) for name, steps in transforms.items()}) > 1:
        raise ArtifactError(f"{source}: transforms: the inputs aren't made of one picture, or of one text by one file")
    return tuple(_made(name, steps, source) for name, steps in transforms.items())


def check_transforms(
    transforms: Transforms, inputs: Sequence[TensorSpec], lengths: Sequence[Length], *, batched: bool, source: str
) -> None:
    """Raises ArtifactError, beginning with `source`, unless they make all of a model's inputs, in datatype and shape.

    `inputs` are without the batch axis if `batched`, `lengths` those that the configuration declares. A card may say
    nothing of any input.
    """
    if not transforms:
        return
    known = {spec.name: spec for spec in inputs}
    for name in transforms:
        if name not in known:
            raise ArtifactError(f'{source}: transforms: the model has no input "{name}"')
    for name in known:
        if name not in transforms:
            raise ArtifactError(
                f'{source}: transforms: nothing makes input "{name}": say how, or leave transforms empty'
            )
    for made in made_tensors(transforms, source=source):
        _check_fit(made, known[made.name], batched=batched, source=source)
    for length in lengths:
        _check_length(transforms[length.input], length, source)


def _file(name: str, steps: Sequence[Transform], source: str) -> str:
    """The tokenizer's, or empty for a picture's steps. Raises ArtifactError for both together."""
    texts = [step for step in steps if isinstance(step, Tokenize)]
    if texts and len(steps) > 1:
        raise ArtifactError(f'{source}: transforms: input "{name}": tokenize must be its only step')
    return texts[0].file if texts else ""


def _made(name: str, steps: Sequence[Transform], source: str) -> TensorSpec:
    height, width, channels = -1, -1, -1
    *_, last = steps or (None,)
    for step in steps:
        match step:
            case Resize():
                height, width = step.height, step.width
            case Grayscale():
                channels = 1
    match last:
        case Tokenize():
            dims: tuple[int, ...] = (-1 if last.pad is None else last.max_length,)
        case ToTensor() if sum(isinstance(step, ToTensor) for step in steps) == 1:
            dims = (channels, height, width) if last.layout == "CHW" else (height, width, channels)
        case _:
            raise ArtifactError(
                f'{source}: transforms: input "{name}": the last step must be a tensor, and the only one'
            )
    return TensorSpec(name=name, datatype=last.datatype, dims=dims)


def _check_fit(made: TensorSpec, taken: TensorSpec, *, batched: bool, source: str) -> None:
    """Raises ArtifactError. What depends on the picture may fit, so each is compared when it comes; the length of a
    text must be one that the model takes whatever it says.
    """
    place = f'{source}: transforms: input "{made.name}"'
    if made.datatype != taken.datatype:
        raise ArtifactError(f"{place}: is made as {made.datatype}, the model takes {taken.datatype}")
    shape = taken.shape
    if not batched and len(shape) == len(made.dims) + 1 and shape[0] in (1, -1):
        shape = shape[1:]  # a batch of one that the model has for itself
    if len(shape) != len(made.dims) or any(
        -1 not in (one, other) and one != other for one, other in zip(made.shape, shape, strict=True)
    ):
        raise ArtifactError(f"{place}: is made of shape {list(made.shape)}, the model takes {list(shape)}")
    if made.shape == (-1,) and shape != (-1,):
        raise ArtifactError(f"{place}: has {shape[0]} tokens whatever the text: set max_length to that, and pad")


def _check_length(steps: Sequence[Transform], length: Length, source: str) -> None:
    """Raises ArtifactError where a long text would be refused, instead of cut."""
    most = length.buckets[-1]
    for step in steps:
        if isinstance(step, Tokenize) and step.max_length > most:
            raise ArtifactError(
                f'{source}: transforms: input "{length.input}": max_length is {step.max_length}, the largest bucket of'
                f" {LENGTH}{length.input} is {most}"
            )
