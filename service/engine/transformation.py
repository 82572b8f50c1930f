"""How the inputs of a generation are made of a picture or a text: what its card says, and the file that this names."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from service.artifact.card import CARD_NAME, Transforms
from service.artifact.digest import sha256_bytes
from service.artifact.signature import TensorSpec
from service.artifact.tokenizer import read_tokenizer
from service.artifact.tokenizer_trial import TokenizerTrial
from service.artifact.transforms import Medium, made_tensors, tokenizer_file
from service.backends.order import Order
from service.engine.source import ModelSource
from service.errors import ArtifactError
from service.workers.process import environment

_SECONDS = 60.0
"""How long trying a tokenizer may take: the largest that may be read takes ten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformation:
    """`tensors` are what is made of the medium, without a batch axis, and `order` is the `Order` for them as JSON.

    `tokenizer` is the content of the file that the steps of a text name, held as long as the generation is, whatever
    becomes of its path; empty for pictures.
    """

    model: str
    medium: Medium
    tensors: tuple[TensorSpec, ...]
    order: bytes = field(repr=False)
    tokenizer: bytes = field(repr=False)


def read_transformation(source: ModelSource) -> Transformation | None:
    """What the card of a version says; None where it says nothing, or there is none. Reads files, and is meant for a
    thread.

    Raises ArtifactError for a tokenizer that isn't the one that the card vouches for, or that can't do what is asked.
    """
    card = source.card
    if card is None or not card.transforms:
        return None
    folder, digest, content = f"{source.name}/{source.version}", "", ""
    tensors = made_tensors(card.transforms, source=f"{folder}/{CARD_NAME}")
    if file := tokenizer_file(card.transforms):
        place, digest = f"{folder}/{file}", card.files[file].sha256
        content = read_tokenizer(Path(source.path).parent / file, source=place, needs=CARD_NAME)
        if sha256_bytes(content.encode()) != digest:
            raise ArtifactError(f"{place}: isn't the file that {CARD_NAME} gave the SHA-256 of")
        _try(content, card.transforms, place=place, card=f"{folder}/{CARD_NAME}")
    order = Order(transforms=card.transforms, tokenizer=digest)
    return Transformation(
        model=source.name,
        medium="text" if file else "picture",
        tensors=tensors,
        order=msgspec.json.encode(order),
        tokenizer=content.encode(),
    )


def _try(content: str, transforms: Transforms, *, place: str, card: str) -> None:
    """Raises ArtifactError where the file isn't a tokenizer, or can't do what the steps ask."""
    trial = TokenizerTrial(content=content, transforms=dict(transforms), place=place, card=card)
    command = [sys.executable, "-m", "service.artifact.tokenizer_trial"]
    try:
        tried = subprocess.run(
            command,
            input=msgspec.json.encode(trial),
            capture_output=True,
            check=False,
            cwd="/",
            env=environment(),
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"{place}: can't be read as a tokenizer within {_SECONDS:g} s") from None
    if problem := tried.stdout.decode(errors="replace").strip():
        raise ArtifactError(problem)
    if tried.returncode:
        raise ArtifactError(f"{place}: reading it as a tokenizer ended the process that tried: {tried.returncode}")
