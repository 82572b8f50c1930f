"""Text as tokens: byte pair encoding on bytes, so that every text can be told and comes back as it was.

Source: R. Sennrich, B. Haddow, A. Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016; on bytes
as in A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"
"""Stands between texts: what precedes the first token of one, and follows the last."""
BYTES = 256
Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TokenizerSettings:
    """`vocabulary` is how many tokens there are: every byte, the end of a text, and merges of what often meets."""

    vocabulary: int = 1000

    def __post_init__(self) -> None:
        if not BYTES < self.vocabulary <= 65536:
            raise ValueError(f"vocabulary: must be between {BYTES + 1} and 65536")


@dataclass(frozen=True, kw_only=True)
class Passage:
    """One text: `ids` int64 [M], which begin and end with the end of a text, and its length in UTF-8 `bytes`."""

    topic: str
    ids: Ids
    bytes: int


def train_tokenizer(texts: Iterable[str], settings: TokenizerSettings) -> Tokenizer:
    """The tokenizer whose merges are those that `texts` ask for. The same texts give the same one."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        special_tokens=[AddedToken(END, special=True)],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`."""
    return Tokenizer.from_file(str(path))


def end_of(tokenizer: Tokenizer) -> int:
    """The id of the end of a text."""
    found = tokenizer.token_to_id(END)
    assert found is not None
    return int(found)


def passages(tokenizer: Tokenizer, texts: Mapping[str, str]) -> tuple[Passage, ...]:
    """`texts` by topic as tokens, in their order."""
    end = end_of(tokenizer)
    return tuple(
        Passage(
            topic=topic,
            ids=np.array([end, *tokenizer.encode(text).ids, end], dtype=np.int64),
            bytes=len(text.encode()),
        )
        for topic, text in texts.items()
    )


def stream(parts: Iterable[Passage]) -> Ids:
    """Passages one after the other, int64 [M]: one end of a text between each two."""
    (first, *others) = parts
    return np.concatenate([first.ids, *(one.ids[1:] for one in others)])
