"""The tokenizer of a model: a `tokenizer.json` as the library `tokenizers` writes it."""

from pathlib import Path

from tokenizers import Tokenizer

from service.errors import ArtifactError

TOKENIZER_NAME = "tokenizer.json"
_MAX_BYTES = 64 * 1024 * 1024


def read_tokenizer(path: Path, *, source: str, needs: str) -> str:
    """What the file holds, which is bounded. Raises ArtifactError, which begins with `source`; `needs` is who asks."""
    try:
        if not path.is_file():
            raise ArtifactError(f"{source}: no such file, but {needs} needs it")
        if path.stat().st_size > _MAX_BYTES:
            raise ArtifactError(f"{source}: is larger than {_MAX_BYTES} bytes, which no tokenizer is")
        return path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{source}: can't be read as text") from error


def load_tokenizer(content: str, *, source: str) -> Tokenizer:
    """The tokenizer that a file holds, without its own rules for cutting and filling texts: those are the model's.

    It has been tried with a text. Raises ArtifactError, which begins with `source`.
    """
    try:
        tokenizer: Tokenizer = Tokenizer.from_str(content)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode("a text to try it with")
    except BaseException as error:  # the library raises nothing more special, and a panic is no Exception
        raise ArtifactError(f"{source}: isn't a tokenizer: {error}") from error
    return tokenizer
