"""The public keys that an operator trusts: PEM, as `openssl pkey -pubout` writes them, one or more in a file."""

import re
from pathlib import Path
from typing import Any

from service.artifact.signing import key_name
from service.errors import SettingsError

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_BEGIN = b"-----BEGIN "


def read_trusted_keys(path: Path) -> dict[str, str]:
    """The keys in the file `path`, or in each file `*.pem` of the folder: from a key's name to that of its file.

    Raises SettingsError, naming the file, for one that can't be read or holds anything but public keys for Ed25519, and
    where there is no key at all.
    """
    if not path.is_dir():
        return dict.fromkeys(_keys_in(path), path.name)
    keys = {key: file.name for file in sorted(path.glob("*.pem")) for key in _keys_in(file)}
    if not keys:
        raise SettingsError(f"{path.name}: no file in this folder ends in .pem")
    return keys


def _keys_in(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path.name}: can't be read ({error.strerror})") from error
    blocks = list(_BLOCK.finditer(content))
    if not blocks or len(blocks) != content.count(_BEGIN):
        raise SettingsError(f"{path.name}: {'is cut off' if blocks else 'holds no whole key in PEM'}")
    return [_key(path.name, block) for block in blocks]


def _key(name: str, block: re.Match[bytes]) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    label = block[1].decode()
    if label.endswith("PRIVATE KEY"):
        raise SettingsError(
            f"{name}: is a private key, which belongs to whoever signs; openssl pkey -pubout gives the public"
        )
    try:
        key: Any = load_pem_public_key(block[0])
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{name}: can't be read as a public key (BEGIN {label})") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SettingsError(f"{name}: holds a key of another kind; cards are signed with Ed25519")
    return key_name(key.public_bytes_raw())
