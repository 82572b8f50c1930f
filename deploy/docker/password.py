"""The password of Grafana's administrator, a file that its container reads as a secret."""

import os
import secrets
from pathlib import Path

NAME = "grafana_password"


class PasswordError(Exception):
    """The file can't be a password; the text names it and says what to do."""


def ensure_password(folder: Path) -> Path:
    """The file in `folder`; one that isn't there is made, for this user alone. Raises PasswordError."""
    path = folder / NAME
    try:
        if not path.exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        _check(path)
    except OSError as error:
        raise PasswordError(f"{path}: {error.strerror}") from error
    return path


def _check(path: Path) -> None:
    if not path.is_file():
        raise PasswordError(f"{path} isn't a file; remove it, and a password is made")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise PasswordError(f"{path} is open to others (mode {mode:03o}): chmod 600 {path}")
    if not path.read_text(errors="replace").strip():
        raise PasswordError(f"{path} is empty; write a password into it, or remove it, and one is made")
