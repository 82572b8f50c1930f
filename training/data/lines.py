"""Texts with their labels as JSON lines: an object a line, such as {"text": "...", "label": "..."}."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from service.artifact.tokenizing import MAX_TEXT_BYTES
from service.errors import SettingsError
from training.data.classes import in_order
from training.data.material import Material
from training.data.shares import Shares
from training.data.split import Dataset, Split
from training.data.tokenized import Tokenized, sources_of, tokenize
from training.data.tokens import TokenizerSettings


@dataclass(frozen=True, kw_only=True)
class LinesSettings:
    """`path` is the file; `text` and `label` are the keys in its lines, `length` how many tokens of a text are read."""

    path: str
    text: str = "text"
    label: str = "label"
    length: int = 64
    tokenizer: TokenizerSettings = field(default_factory=TokenizerSettings)
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if not 1 <= self.length <= 8192:
            raise ValueError("length: must be between 1 and 8192 tokens")


def load(settings: LinesSettings, seed: int) -> Dataset:
    """Ids int64 [N, length], padded with 0, and labels int64 [N]; classes are the labels in their order.

    Texts that begin with the same `length` bytes are of one source. Raises SettingsError that names the line at fault.
    """
    return read(settings, seed).dataset


def material(settings: LinesSettings, seed: int) -> Material:
    """The texts for a recipe, and how others become inputs."""
    return read(settings, seed).material(length=settings.length)


def read(settings: LinesSettings, seed: int) -> Tokenized:
    """The dataset with its tokenizer, which was trained on the texts of the training part."""
    found = _read(settings)
    labels = in_order(label for _, label in found)
    if len(labels) < 2:
        raise SettingsError(f"{settings.path}: `{settings.label}` must have at least two values, it has {len(labels)}")
    texts = [text for text, _ in found]
    whole = Split(
        inputs=np.array(texts, dtype=object),
        targets=np.array([labels.index(label) for _, label in found], dtype=np.int64),
        sources=sources_of(texts, length=settings.length),
    )
    parts = settings.shares.cut(whole, classes=labels, seed=seed)
    return tokenize(parts, settings.tokenizer, length=settings.length)


def _read(settings: LinesSettings) -> list[tuple[str, str]]:
    """Text and label of each line. Raises SettingsError."""
    path = Path(settings.path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise SettingsError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: isn't UTF-8 (byte {error.start})") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            place = f"{path}: line {number}"
            entry = _entry(line, place)
            found.append((_text(entry, settings.text, place), _label(entry, settings.label, place)))
    return found


def _entry(line: str, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{place}: isn't JSON ({error})") from error
    if not isinstance(entry, dict):
        raise SettingsError(f"{place}: must be a JSON object, with its keys in braces")
    return entry


def _text(entry: dict[str, Any], key: str, place: str) -> str:
    text = _value(entry, key, place)
    if not isinstance(text, str) or not text.strip():
        raise SettingsError(f"{place}: `{key}` must be a text that isn't empty")
    if len(text.encode(errors="replace")) > MAX_TEXT_BYTES:
        raise SettingsError(f"{place}: `{key}` has more than {MAX_TEXT_BYTES} bytes: leave a part of it")
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SettingsError(f"{place}: `{key}` has half a character (a lone surrogate), which is no text")
    return text


def _label(entry: dict[str, Any], key: str, place: str) -> str:
    label = _value(entry, key, place)
    if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
        raise SettingsError(f"{place}: `{key}` must be a text or a whole number")
    return str(label)


def _value(entry: dict[str, Any], key: str, place: str) -> Any:
    if key not in entry:
        raise SettingsError(f"{place}: has no `{key}`; there are {', '.join(entry) or 'no keys'}")
    return entry[key]
