"""The private key that cards are signed with: PEM, as `openssl genpkey -algorithm ed25519` writes it."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from service.artifact.signing import signature_of
from service.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Owns a private key, and never shows it."""

    key: Ed25519PrivateKey = field(repr=False)

    def sign(self, content: bytes) -> str:
        """The signature for a card whose bytes are `content` without one; equal bytes give equal signatures."""
        return signature_of(self.key.public_key().public_bytes_raw(), self.key.sign(content))


def read_signing_key(path: Path) -> SigningKey:
    """The key in the file `path`.

    Raises SettingsError for a file that can't be read, isn't a private key for Ed25519, or is open to others.
    """
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        raise SettingsError(f"{path}: can't be read ({error.strerror})") from error
    try:
        key = load_pem_private_key(content, password=None)
    except TypeError as error:
        raise SettingsError(f"{path}: is encrypted; openssl pkey -in {path} decrypts it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{path}: isn't a private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{path}: is a key of another kind; openssl genpkey -algorithm ed25519 makes the right one")
    if mode & 0o077:
        raise SettingsError(f"{path}: is open to other users; chmod 600 {path}")
    return SigningKey(key=key)
