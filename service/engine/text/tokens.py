"""From texts to tokens and back, as the model's own tokenizer has it."""

from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from service.artifact.generate import TOKENIZER_NAME
from service.errors import ArtifactError

MAX_BYTES = 64 * 1024 * 1024


class Tokens:
    """Owns one model's tokenizer."""

    def __init__(self, path: Path, *, source: str) -> None:
        """Reads `tokenizer.json` at `path`. Raises ArtifactError, which begins with `source`."""
        place = f"{source}/{TOKENIZER_NAME}"
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ArtifactError(f"{place}: is larger than {MAX_BYTES} bytes, which no tokenizer is")
            self._tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactError(f"{place}: can't be read, but hone.generate needs it") from error
        except ArtifactError:
            raise
        except Exception as error:  # the library raises nothing more special
            raise ArtifactError(f"{place}: isn't a tokenizer: {error}") from error

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def reader(self) -> "Reader":
        """For one text, token by token."""
        return Reader(self._tokenizer)


class Reader:
    """Owns the tokens of one text that don't make whole characters yet."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def add(self, token: int) -> str:
        """What can be read now that `token` follows."""
        text: str | None = self._stream.step(self._tokenizer, token)
        return text or ""
