"""From texts to tokens and back, as the model's own tokenizer has it."""

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from service.artifact.tokenizer import TOKENIZER_NAME, load_tokenizer


class Tokens:
    """Owns one model's tokenizer."""

    def __init__(self, content: str, *, source: str) -> None:
        """`content` is that of `tokenizer.json`. Raises ArtifactError, which begins with `source`.

        How it would cut or fill texts isn't followed: what is too long is refused, and nothing is added.
        """
        self._tokenizer = load_tokenizer(content, source=f"{source}/{TOKENIZER_NAME}")

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
