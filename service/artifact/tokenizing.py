"""From a text to tensors, by the steps on a model's card: the one implementation of them.

A text comes from anybody: it is bounded before anything is made of it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from service.artifact.card import Tokenize, Transforms
from service.errors import ArtifactError

MAX_TEXT_BYTES = 256 * 1024
"""Thirty for each of eight thousand tokens: most of a longer text would be cut off, and it would take seconds."""


class TextError(Exception):
    """No tensors can be made of the text; its words are one line, for who sent it."""


def text_tensors(content: bytes, transforms: Transforms, tokenizer: Tokenizer) -> dict[str, NDArray[Any]]:
    """The tensors [T] that the steps make of a text in UTF-8, by the names of their inputs. Raises TextError.

    `tokenizer` is their file, as `load_tokenizer` gives it.
    """
    if len(content) > MAX_TEXT_BYTES:
        raise TextError(f"the text has {len(content)} bytes, at most {MAX_TEXT_BYTES} are tokenized: send a part of it")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise TextError(f"the text isn't UTF-8: byte {error.start}") from None
    encodings: dict[int, Encoding] = {}
    made: dict[str, NDArray[Any]] = {}
    for name, step in _steps(transforms):
        if step.max_length not in encodings:
            tokenizer.enable_truncation(step.max_length)
            encodings[step.max_length] = tokenizer.encode(text)
        made[name] = _row(encodings[step.max_length], step)
    return made


def check_tokenizer(tokenizer: Tokenizer, transforms: Transforms, *, source: str) -> None:
    """Raises ArtifactError, beginning with `source`, where the steps ask what the tokenizer can't do."""
    around = tokenizer.num_special_tokens_to_add(is_pair=False)
    for name, step in _steps(transforms):
        place = f'{source}: transforms: input "{name}"'
        if step.max_length <= around:
            raise ArtifactError(f"{place}: max_length is {step.max_length}, {around} tokens are put around each text")
        if step.gives == "ids" and step.pad is not None and tokenizer.id_to_token(step.pad) is None:
            raise ArtifactError(f"{place}: pad is {step.pad}, the tokenizer has no token of that id")


def _steps(transforms: Transforms) -> Sequence[tuple[str, Tokenize]]:
    return [(name, step) for name, steps in transforms.items() for step in steps if isinstance(step, Tokenize)]


def _row(encoding: Encoding, step: Tokenize) -> NDArray[Any]:
    row: list[int] = getattr(encoding, step.gives)
    if not encoding.ids:
        raise TextError("the text has no tokens: send one that isn't empty")
    if step.pad is not None:
        row = row + [step.pad] * (step.max_length - len(row))
    return np.array(row, np.int64 if step.datatype == "INT64" else np.int32)
