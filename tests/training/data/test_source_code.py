"""Sources with what `tokenize` calls their tokens."""

from dataclasses import replace

import numpy as np
import pytest

from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import source_code
from training.data.source_code import CLASSES, SourceCodeSettings, tagged
from training.data.split import NO_TAG
from training.data.tokenized import PADDING, Tokenized
from training.data.tokens import TokenizerSettings, train_tokenizer

SMALL = SourceCodeSettings(files=5, length=64, tokenizer=TokenizerSettings(vocabulary=400))


@pytest.fixture(scope="module")
def read() -> Tokenized:
    return source_code.read(SMALL, seed=7)


def marked(text: str, kind: str) -> str:
    """The characters of `text` with this tag, others as dots."""
    tags = tagged(text).tags
    return "".join(letter if tag == CLASSES.index(kind) else "." for letter, tag in zip(text, tags, strict=True))


@pytest.mark.parametrize(
    "kind, told",
    [
        ("keyword", "if..............................\n"),
        ("name", "...x............................\n"),
        ("operator", ".....>...:......................\n"),
        ("number", ".......10.......................\n"),
        ("string", "...........'if'.................\n"),
        ("comment", "................# for für é \x0c if..\n"),
    ],
)
def test_characters_have_the_tag_of_their_token(kind: str, told: str) -> None:
    """A word in a string or a comment is no keyword; characters beyond ASCII, and form feeds, shift nothing."""
    text = "if x > 10: 'if' # for für é \x0c if\n"
    found = marked(text, kind)
    assert told.rstrip(".\n") == found.rstrip(".\n")


def test_tokens_over_several_lines_are_tagged_whole() -> None:
    """A string goes on over its lines, and what follows is found again."""
    text = 'x = """if\n\x0c\nelse""" + y\n'
    assert '...."""if\n\x0c\nelse""".....' == marked(text, "string")
    assert "=+" == marked(text, "operator").replace(".", "")


def test_stretches_have_a_tag_a_token(read: Tokenized) -> None:
    """Ids int64 and tags int64 of one length; padding has no tag, and all classes are there."""
    for part in parts(read.dataset):
        assert_array(part.inputs, np.int64, (len(part), 64))
        assert_array(part.targets, np.int64, (len(part), 64))
        assert 0 <= part.inputs.min() <= part.inputs.max() < 400
        assert (part.targets[part.inputs == PADDING] == NO_TAG).all()
        assert {NO_TAG, *range(6)} >= set(part.targets.ravel())
    assert set(range(6)) <= set(read.dataset.train.targets.ravel())
    assert_apart(read.dataset)
    assert_sound(read.dataset)


def test_tags_are_those_of_the_tokens(read: Tokenized) -> None:
    """A bracket is an operator wherever it isn't in a string or a comment, and nothing else."""
    train = read.dataset.train
    found = train.targets[train.inputs == read.tokenizer.token_to_id("[")]
    operator, text, comment = (CLASSES.index(name) for name in ("operator", "string", "comment"))
    assert {operator, text, comment} >= set(found.tolist()) >= {operator}
    assert (found == operator).mean() > 0.5


def test_the_tokenizer_knows_the_training_part_alone(read: Tokenized) -> None:
    """The files of that part, put together again, make the very same one."""
    train = read.dataset.train
    rows = [train.inputs[train.sources == source] for source in dict.fromkeys(train.sources.tolist())]
    files = [read.tokenizer.decode(ids[ids != PADDING].tolist()) for ids in rows]
    assert read.tokenizer.to_str() == train_tokenizer(files, SMALL.tokenizer).to_str()


def test_parts_have_their_shares_of_text() -> None:
    """Files differ a hundredfold in length, so those of like length are dealt out."""
    sizes = [len(part) for part in parts(source_code.load(replace(SMALL, files=15), seed=7))]
    assert 0.5 < sizes[0] / sum(sizes) < 0.65
    assert 0.1 < sizes[1] / sum(sizes) < 0.2


def test_the_seed_decides_files_and_parts() -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: source_code.load(SMALL, seed))


def test_more_files_than_there_are_can_not_be_had() -> None:
    """The text says how many there are."""
    with pytest.raises(SettingsError, match="files: is 9999, this interpreter's standard library has"):
        source_code.load(SourceCodeSettings(files=9999), seed=7)
    with pytest.raises(ValueError, match="files: must be at least 5"):
        SourceCodeSettings(files=4)
