"""Paragraphs of Python's own documentation, and on which of its pages each stands.

The pages are the topics of `help("compound")` and the like. Their names are the labels, so nobody had to give any.
What mostly repeats a larger page is no page, and a paragraph of two pages belongs to none. Neighbours on a page may be
in different parts: what is tested is a paragraph that wasn't seen, of a page that was.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pydoc_data.topics import topics

import numpy as np

from training.data.material import Material
from training.data.shares import Shares
from training.data.split import Dataset, Split
from training.data.tokenized import Tokenized, sources_of, tokenize
from training.data.tokens import TokenizerSettings
from training.data.topics import distinct, paragraphs


@dataclass(frozen=True, kw_only=True)
class TextsSettings:
    """`pages` is how many there are to tell apart, those with most paragraphs; `length` how many tokens are read."""

    pages: int = 8
    length: int = 64
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if not 2 <= self.pages <= 12:
            raise ValueError("pages: must be between 2 and 12, others have few paragraphs")
        if not 1 <= self.length <= 512:
            raise ValueError("length: must be between 1 and 512 tokens")


def load(settings: TextsSettings, seed: int) -> Dataset:
    """Ids int64 [N, length], padded with 0, and labels int64 [N]: the page, of those in `classes`."""
    return read(settings, seed).dataset


def material(settings: TextsSettings, seed: int) -> Material:
    """The texts for a recipe, and how others become inputs."""
    return read(settings, seed).material(length=settings.length)


def read(settings: TextsSettings, seed: int) -> Tokenized:
    """The dataset with its tokenizer."""
    pages = _own_paragraphs(topics)
    names = sorted(sorted(pages, key=lambda name: (-len(pages[name]), name))[: settings.pages])
    found = [(text, label) for label, name in enumerate(names) for text in pages[name]]
    whole = Split(
        inputs=np.array([text for text, _ in found], dtype=object),
        targets=np.array([label for _, label in found], dtype=np.int64),
        sources=sources_of((text for text, _ in found), length=settings.length),
    )
    parts = settings.shares.cut(whole, classes=tuple(names), seed=seed)
    return tokenize(parts, settings.tokenizer, length=settings.length)


def _own_paragraphs(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """The paragraphs of each text that stand in no other, sorted."""
    pages = {name: paragraphs(text) for name, text in distinct(texts).items()}
    often = Counter(piece for pieces in pages.values() for piece in pieces)
    return {name: sorted(piece for piece in pieces if often[piece] == 1) for name, pieces in pages.items()}
