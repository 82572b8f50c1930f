"""How the inputs of a generation are made of a picture or a text: what its card says, and the file that this names."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from service.artifact.card import CARD_NAME
from service.artifact.digest import sha256_bytes
from service.artifact.signature import TensorSpec
from service.artifact.tokenizer import load_tokenizer, read_tokenizer
from service.artifact.tokenizing import check_tokenizer
from service.artifact.transforms import Medium, made_tensors, tokenizer_file
from service.backends.order import Order
from service.engine.source import ModelSource
from service.errors import ArtifactError


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
        check_tokenizer(load_tokenizer(content, source=place), card.transforms, source=f"{folder}/{CARD_NAME}")
    order = Order(transforms=card.transforms, tokenizer=digest)
    return Transformation(
        model=source.name,
        medium="text" if file else "picture",
        tensors=tensors,
        order=msgspec.json.encode(order),
        tokenizer=content.encode(),
    )
