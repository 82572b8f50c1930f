"""The standard library's own sources, each token with what Python's `tokenize` calls it.

Tokens are those of a byte pair encoding, which know nothing of Python: whether `import` is a keyword or a word of a
comment is told by what stands around it, as with the names of persons in a text.
"""

import io
import keyword
import random
import sysconfig
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.errors import SettingsError
from training.data.material import Material
from training.data.shares import Shares
from training.data.split import NO_TAG, Dataset, Labels, Split
from training.data.tokenized import PADDING, Tokenized
from training.data.tokens import TokenizerSettings, train_tokenizer

CLASSES = ("name", "keyword", "number", "string", "comment", "operator")
ALIKE = 5
"""Files of like length that are dealt out to the parts, which would differ in length otherwise."""
_KINDS = {
    tokenize.NAME: "name",
    tokenize.NUMBER: "number",
    tokenize.STRING: "string",
    tokenize.COMMENT: "comment",
    tokenize.OP: "operator",
}


@dataclass(frozen=True, kw_only=True)
class SourceCodeSettings:
    """How many `files`, drawn by the seed, and the `length` in tokens of the stretches that they are cut into."""

    files: int = 40
    length: int = 128
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if self.files < ALIKE:
            raise ValueError(f"files: must be at least {ALIKE}")
        if not 8 <= self.length <= 1024:
            raise ValueError("length: must be between 8 and 1024 tokens")


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file: its `text`, and the `tags` int64 [M] of its characters, -100 of those in no token."""

    text: str
    tags: Labels


def load(settings: SourceCodeSettings, seed: int) -> Dataset:
    """Ids int64 [N, length], padded with 0, and tags int64 [N, length], -100 where there is none; files are sources."""
    return read(settings, seed).dataset


def material(settings: SourceCodeSettings, seed: int) -> Material:
    """The texts for a recipe, and how others become inputs."""
    return read(settings, seed).material(length=settings.length)


def read(settings: SourceCodeSettings, seed: int) -> Tokenized:
    """The dataset with its tokenizer, which was trained on the files of the training part.

    Raises SettingsError where the interpreter has fewer files.
    """
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    if len(paths) < settings.files:
        raise SettingsError(f"files: is {settings.files}, this interpreter's standard library has {len(paths)}")
    sources = [tagged(_text(path)) for path in random.Random(seed).sample(paths, settings.files)]
    ranks = np.argsort(np.argsort([len(source.text) for source in sources], kind="stable"))
    parts = settings.shares.positions(np.arange(len(sources)), ranks // ALIKE, seed)
    tokenizer = train_tokenizer((sources[number].text for number in parts[0]), settings.tokenizer)
    train, validation, test = (_stretches(sources, part, tokenizer, settings.length) for part in parts)
    dataset = Dataset(train=train, validation=validation, test=test, classes=CLASSES)
    return Tokenized(dataset=dataset, tokenizer=tokenizer)


def tagged(text: str) -> Source:
    """A text with the tags of its characters."""
    starts = np.cumsum([0, *map(len, io.StringIO(text))])
    tags = np.full(len(text), NO_TAG, dtype=np.int64)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if kind := _kind(token):
            (first, left), (last, right) = token.start, token.end
            tags[starts[first - 1] + left : starts[last - 1] + right] = CLASSES.index(kind)
    return Source(text=text, tags=tags)


def _kind(token: tokenize.TokenInfo) -> str:
    """The class of a token, empty for what only structures the lines."""
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "keyword"
    if tokenize.tok_name[token.type].startswith("FSTRING"):  # from Python 3.12 on, around the code in its braces
        return "string"
    return _KINDS.get(token.type, "")


def _text(path: Path) -> str:
    with tokenize.open(path) as file:
        return file.read()


def _stretches(sources: Sequence[Source], chosen: NDArray[np.int64], tokenizer: Tokenizer, length: int) -> Split:
    """The chosen files in stretches of `length` tokens; the last of a file is padded."""
    ids, tags, files = [], [], []
    for number in chosen:
        source = sources[number]
        encoding = tokenizer.encode(source.text)
        room = (0, -len(encoding.ids) % length)
        found = _first_tags(source.tags, np.array(encoding.offsets))
        ids.append(np.pad(encoding.ids, room, constant_values=PADDING).reshape(-1, length))
        tags.append(np.pad(found, room, constant_values=NO_TAG).reshape(-1, length))
        files.append(np.full(len(ids[-1]), number, dtype=np.int64))
    return Split(inputs=np.concatenate(ids), targets=np.concatenate(tags), sources=np.concatenate(files))


def _first_tags(tags: Labels, offsets: NDArray[np.int64]) -> Labels:
    """The first tag that there is between each start and stop of `offsets` [M, 2], by the `tags` of all characters."""
    places = np.append(np.flatnonzero(tags != NO_TAG), len(tags))
    first = places[np.searchsorted(places, offsets[:, 0])]
    return np.where(first < offsets[:, 1], np.append(tags, NO_TAG)[first], NO_TAG)
