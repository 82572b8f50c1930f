"""What a model may be called, and where a name may lead on disk."""

import re
from pathlib import Path

from service.errors import ArtifactError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def is_model_name(text: str) -> bool:
    """Letters, digits, dot, dash and underscore, at most 128, first a letter or digit: never a path."""
    return _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """A positive decimal number without leading zeros that fits 64 bits."""
    return _VERSION.fullmatch(text) is not None


def check_model_name(text: str) -> str:
    """`text` itself; ArtifactError when it can't name a model."""
    if not is_model_name(text):
        raise ArtifactError(
            f"model name {text[:140]!r} may hold letters, digits, '.', '_' and '-' only, at most 128, "
            "and starts with a letter or digit"
        )
    return text


def check_file_name(text: str, source: str) -> str:
    """`text` itself, a file's own name and never a path; ArtifactError beginning with `source` otherwise."""
    if "/" in text or "\\" in text or text in (".", ".."):
        raise ArtifactError(f"{source}: {text!r} must be a file name, not a path")
    return text


def resolve_under(root: Path, *parts: str) -> Path:
    """The real path of `parts` below `root`, links followed.

    Raises ArtifactError when a part is empty, absolute or holds a separator, or when the path leaves the root.
    """
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part or "\0" in part:
            raise ArtifactError(f"{part!r} isn't the name of a file or folder")
    real_root = root.resolve()
    try:
        real = real_root.joinpath(*parts).resolve()
    except (OSError, RuntimeError) as error:  # a loop of links
        raise ArtifactError(f"{'/'.join(parts)} can't be resolved") from error
    if not real.is_relative_to(real_root):
        raise ArtifactError(f"{'/'.join(parts)} is a link that leaves the repository")
    return real
