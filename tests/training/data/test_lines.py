"""Texts as JSON lines."""

import json
from pathlib import Path

import numpy as np
import pytest

from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import lines
from training.data.lines import LinesSettings
from training.data.tokens import TokenizerSettings

ENTRIES = [
    {"text": f"day {n}: für {n * n} {'good' if n % 2 else 'bad'} weather", "label": n % 2 or "bad"} for n in range(40)
]


def settings(path: Path) -> LinesSettings:
    return LinesSettings(path=str(path), length=12, tokenizer=TokenizerSettings(vocabulary=280))


def write(path: Path, entries: list[object]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries) + "\n")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "days.jsonl", list(ENTRIES))


def test_a_line_is_a_row(path: Path) -> None:
    """Ids int64 of one length and labels int64, by the sorted labels; whole numbers are labels too."""
    read = lines.read(settings(path), seed=7)
    assert ("1", "bad") == read.dataset.classes
    assert 40 == sum(map(len, parts(read.dataset)))
    texts = {str(entry["text"]): str(entry["label"]) for entry in ENTRIES}
    for part in parts(read.dataset):
        assert_array(part.inputs, np.int64, (len(part), 12))
        assert np.int64 == part.targets.dtype
        for ids, label in zip(part.inputs, part.targets, strict=True):
            beginning = read.tokenizer.decode([one for one in ids if one]).rstrip("\ufffd")
            assert read.dataset.classes[label] in {texts[text] for text in texts if text.startswith(beginning)}
    assert_apart(read.dataset)
    assert_sound(read.dataset)


def test_the_seed_decides_the_parts(path: Path) -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: lines.load(settings(path), seed))


def test_a_text_that_repeats_is_in_one_part(tmp_path: Path) -> None:
    """As does one that only ends otherwise, beyond what is read."""
    again = [{"text": f"{ENTRIES[3]['text']} {n}", "label": "bad"} for n in range(20)]
    dataset = lines.load(settings(write(tmp_path / "days.jsonl", [*ENTRIES, *again])), seed=7)
    assert_apart(dataset)
    assert 60 == sum(map(len, parts(dataset)))
    assert_sound(dataset)


@pytest.mark.parametrize(
    "line, told",
    [
        ("{'text': 1}", "isn't JSON"),
        ("[1, 2]", "must be a JSON object"),
        ('{"label": "x"}', "has no `text`; there are label"),
        ('{"text": "hello"}', "has no `label`; there are text"),
        ('{"text": 3, "label": "x"}', "`text` must be a text that isn't empty"),
        ('{"text": " ", "label": "x"}', "`text` must be a text that isn't empty"),
        ('{"text": "\\ud800", "label": "x"}', "has half a character"),
        ('{"text": "hello", "label": 1.5}', "`label` must be a text or a whole number"),
        ('{"text": "hello", "label": true}', "`label` must be a text or a whole number"),
        ('{"text": "hello", "label": ""}', "`label` must be a text or a whole number"),
        ('{"text": "' + "x" * 300_000 + '", "label": "x"}', "has more than 262144 bytes"),
    ],
)
def test_a_line_at_fault_is_named(path: Path, line: str, told: str) -> None:
    """By file and number, blank lines counted, with what it lacks."""
    path.write_text(f"{path.read_text()}\n{line}\n")
    with pytest.raises(SettingsError, match=rf"days.jsonl: line 43: .*{told}"):
        lines.load(settings(path), seed=7)


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    """Each says what it isn't; one label is nothing to tell apart."""
    with pytest.raises(SettingsError, match=r"none.jsonl: can't be read"):
        lines.load(settings(tmp_path / "none.jsonl"), seed=7)
    (tmp_path / "bad.jsonl").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"bad.jsonl: isn't UTF-8 .byte 0"):
        lines.load(settings(tmp_path / "bad.jsonl"), seed=7)
    one = write(tmp_path / "one.jsonl", [{"text": "hello", "label": "x"}])
    with pytest.raises(SettingsError, match=r"one.jsonl: `label` must have at least two values, it has 1"):
        lines.load(settings(one), seed=7)


def test_a_length_has_bounds() -> None:
    """No tokens, or more than a network reads, are a slip."""
    with pytest.raises(ValueError, match="length: must be between 1 and 8192"):
        LinesSettings(path="x", length=0)
