"""The signature on a card: Ed25519 (RFC 8032) over the card's own bytes, `ed25519:<public key>:<signature>` in base64.

It is the card's last key, on a line of its own, and what is signed is the file with `null` in its place. So nothing has
to be brought into another form before it is compared, and no byte of the file can be changed: not one of what was
signed, nor one of the signature. That it is valid says who signed; whether to trust them is another question
(`trusted_keys`). A key is known by its 32 bytes in base64, with which the body of its PEM file ends too.
"""

from base64 import b64decode, b64encode
from typing import Annotated

import msgspec

from service.errors import ArtifactError

Signature = Annotated[str, msgspec.Meta(pattern="^ed25519:[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{86}==$")]
UNSIGNED = b'  "signature": null\n}\n'
"""How a card ends that nobody has signed."""


def signature_of(key: bytes, signature: bytes) -> str:
    """The signature of 64 bytes by the public key of 32, as a card holds it."""
    return f"ed25519:{key_name(key)}:{b64encode(signature).decode()}"


def key_name(key: bytes) -> str:
    """What a public key, the 32 bytes of it, is called."""
    return b64encode(key).decode()


def signed_by(signature: str) -> str:
    """The name of the public key that a signature is to be checked with."""
    return signature.split(":")[1]


def verify(content: bytes, signature: str) -> None:
    """Raise ArtifactError unless `signature`, of the form of `Signature`, was made for the card in `content`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    end = UNSIGNED.replace(b"null", f'"{signature}"'.encode())
    if not content.endswith(end):
        raise ArtifactError("must be the card's last key, and the end of the file as it was when it was signed")
    key, proof = map(b64decode, signature.split(":")[1:])
    try:
        if signature_of(key, proof) != signature:  # base64 has several spellings where bits are left over
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(key).verify(proof, content.removesuffix(end) + UNSIGNED)
    except InvalidSignature:
        raise ArtifactError(
            f"isn't that of this card by the key {signed_by(signature)}: one of them was changed after signing"
        ) from None
