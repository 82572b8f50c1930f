"""The topics of Python's own documentation: some 450 KB of English that come with every interpreter.

They are the pages of `help("while")` and the like, cut out of the language reference, and overlap: of 1,600 paragraphs
a fifth stands in several topics ("while" is a section of "compound"). A split by topic alone would let a network learn
what it is tested on by heart. So a topic that mostly repeats a larger one is left out, and topics that share a
paragraph stay in one part.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pydoc_data.topics import topics

LEAST_PARAGRAPH = 40
"""Characters: what is shorter (a heading, a line of code) may stand in two texts by chance."""
MOST_OF_A_PART = 0.4
"""A family that would be more than this share of validation or test is trained on: no part is to be about one topic."""
REPEATED = 0.5
"""A topic of whose paragraphs a larger one holds more than this share, by characters, brings nothing new."""


@dataclass(frozen=True, kw_only=True)
class TopicsSettings:
    """`validation` and `test` are shares of all characters; as topics are whole, parts come close to them."""

    validation: float = 0.08
    test: float = 0.12

    def __post_init__(self) -> None:
        if min(self.validation, self.test) < 0.02 or self.validation + self.test > 0.5:
            raise ValueError("validation, test: must be at least 0.02, and leave half of the text to train on")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts by their topic, in three parts that share neither a topic nor a paragraph."""

    train: Mapping[str, str]
    validation: Mapping[str, str]
    test: Mapping[str, str]


def load(settings: TopicsSettings, seed: int) -> Texts:
    """The topics of the interpreter that runs, cut into three parts by `seed`."""
    return cut(topics, settings, seed)


def cut(texts: Mapping[str, str], settings: TopicsSettings, seed: int) -> Texts:
    """`texts` by topic in three parts. What validation and test have no room for is trained on."""
    texts = distinct(texts)
    families = related(texts)
    random.Random(seed).shuffle(families)
    whole = sum(map(len, texts.values()))
    test, rest = _fill(families, texts, settings.test * whole)
    validation, train = _fill(rest, texts, settings.validation * whole)
    parts = [
        {name: texts[name] for name in sorted(name for family in part for name in family)}
        for part in (train, validation, test)
    ]
    return Texts(train=parts[0], validation=parts[1], test=parts[2])


def paragraphs(text: str) -> frozenset[str]:
    """The paragraphs of a text that are long enough to stand in another one only by being copied."""
    pieces = (" ".join(piece.split()) for piece in re.split(r"\n\s*\n", text))
    return frozenset(piece for piece in pieces if len(piece) >= LEAST_PARAGRAPH)


def distinct(texts: Mapping[str, str]) -> dict[str, str]:
    """`texts` without those that mostly repeat a larger one that is kept."""
    seen: set[str] = set()
    kept = {}
    for name in sorted(texts, key=lambda name: (-len(texts[name]), name)):
        pieces = paragraphs(texts[name])
        known = sum(len(piece) for piece in pieces & seen)
        if known <= REPEATED * sum(map(len, pieces)):
            kept[name] = texts[name]
            seen |= pieces
    return kept


def related(texts: Mapping[str, str]) -> list[tuple[str, ...]]:
    """The names of `texts` in families: whoever shares a paragraph, directly or over others, is of one."""
    families: list[tuple[set[str], frozenset[str]]] = []
    for name in sorted(texts):
        names, pieces = {name}, paragraphs(texts[name])
        apart = []
        for family in families:
            if family[1] & pieces:
                names, pieces = names | family[0], pieces | family[1]
            else:
                apart.append(family)
        families = [*apart, (names, pieces)]
    return sorted(tuple(sorted(names)) for names, _ in families)


def _fill(
    families: Sequence[tuple[str, ...]], texts: Mapping[str, str], room: float
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The families that find room, taken in turn, and the others."""
    taken, left = [], []
    largest = MOST_OF_A_PART * room
    for family in families:
        size = sum(len(texts[name]) for name in family)
        if size <= min(room, largest):
            taken.append(family)
            room -= size
        else:
            left.append(family)
    return taken, left
