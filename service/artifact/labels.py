"""The names of a model's classes: a line for each, in the order of their index."""

from pathlib import Path

from service.errors import ArtifactError

MAX_BYTES = 16 * 1024 * 1024


def read_labels(path: Path, *, source: str) -> tuple[str, ...]:
    """The names in the file at `path`. Raises ArtifactError, which begins with `source`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ArtifactError(f"{source}: is larger than {MAX_BYTES} bytes, which no list of labels is")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{source}: can't be read as text") from error
    return tuple(text.removesuffix("\n").split("\n")) if text else ()  # `splitlines` knows other ends, which are names
