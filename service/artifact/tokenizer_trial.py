"""Tries a tokenizer: `python -m service.artifact.tokenizer_trial` reads a `TokenizerTrial` as JSON, and prints what is
wrong with it, if anything.

In a process of its own, since reading one holds the interpreter for a tenth of a second a megabyte, and nobody knows
what a file does to native code.
"""

import sys

import msgspec

from service.artifact.card import Transform
from service.artifact.tokenizer import load_tokenizer
from service.artifact.tokenizing import check_tokenizer
from service.errors import ArtifactError


class TokenizerTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a tokenizer's file and the steps that name it, and where both stand, for the error's text."""

    content: str
    transforms: dict[str, tuple[Transform, ...]]
    place: str
    card: str


def main() -> None:
    """Read, try and print."""
    trial = msgspec.json.decode(sys.stdin.buffer.read(), type=TokenizerTrial)
    try:
        check_tokenizer(load_tokenizer(trial.content, source=trial.place), trial.transforms, source=trial.card)
    except ArtifactError as error:
        sys.stdout.write(str(error))


if __name__ == "__main__":
    main()
