"""Labelled texts as tokens: a tokenizer of the training part, and rows of its ids of one length."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from tokenizers import Tokenizer

from service.artifact.card import Tokenize, Transforms
from service.artifact.tokenizing import text_tensors
from training.data.duplicates import common_sources
from training.data.material import Material
from training.data.split import Dataset, Sources, Split
from training.data.tokens import Ids, TokenizerSettings, train_tokenizer

TOKENIZER = "tokenizer.json"
PADDING = 0
"""The id of the end of a text, which is in no text."""


@dataclass(frozen=True, kw_only=True)
class Tokenized:
    """A `dataset` of ids int64 [N, T], padded with 0, and the `tokenizer` that made them of texts."""

    dataset: Dataset
    tokenizer: Tokenizer

    def material(self, *, length: int) -> Material:
        """The same for a recipe; of other texts the first `length` tokens count."""
        return Material(
            dataset=self.dataset,
            vocabulary=self.tokenizer.get_vocab_size(),
            steps=transforms(TOKENIZER, length=length)["ids"],
            files={TOKENIZER: self.tokenizer.to_str(pretty=True).encode()},
        )


def tokenize(texts: Dataset, settings: TokenizerSettings, *, length: int) -> Tokenized:
    """`texts`, whose inputs are str [N], by a tokenizer that knows the training part alone.

    A text is cut to its first `length` tokens. Raises TextError for one that is empty, or has more than 256 KiB.
    """
    tokenizer = train_tokenizer(texts.train.inputs.tolist(), settings)

    def told(part: Split) -> Split:
        return replace(part, inputs=padded(part.inputs, tokenizer, length))

    dataset = replace(texts, train=told(texts.train), validation=told(texts.validation), test=told(texts.test))
    return Tokenized(dataset=dataset, tokenizer=tokenizer)


def sources_of(texts: Iterable[str], *, length: int) -> Sources:
    """Sources int64 [N]: texts are of one that are the same as far as a network might read, the first `length` bytes.

    A token has one byte at least, so whichever the tokenizer is, no two parts have the same row of ids.
    """
    (sources,) = common_sources(text.encode()[:length] for text in texts)
    return sources


def padded(texts: Iterable[str], tokenizer: Tokenizer, length: int) -> Ids:
    """Ids int64 [N, length], as a server makes them by `transforms`."""
    steps = transforms(TOKENIZER, length=length)
    rows = [text_tensors(text.encode(), steps, tokenizer)["ids"] for text in texts]
    tokenizer.no_truncation()  # or its file would cut too
    return np.stack(rows)


def transforms(file: str, *, length: int) -> Transforms:
    """What turns any text into the input `ids` of a network, by the tokenizer in `file`."""
    return {"ids": (Tokenize(file=file, gives="ids", max_length=length, pad=PADDING),)}
