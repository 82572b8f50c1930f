"""Keys that cards are signed with, made by openssl as an operator makes them."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from service.artifact.card import dump_card, load_card
from training.signing_key import read_signing_key

RequireTool = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class KeyPair:
    """The files of both halves, and what the key is called."""

    private: Path
    public: Path

    @property
    def name(self) -> str:
        """The end of the PEM file's body, see `service.artifact.signing`."""
        return self.public.read_text().splitlines()[1][16:]

    def sign(self, card: Path) -> None:
        """Sign a card that lies somewhere, in the place of whoever has signed it before."""
        bare = dump_card(msgspec.structs.replace(load_card(card), signature=None))
        signature = read_signing_key(self.private).sign(bare)
        card.write_bytes(dump_card(msgspec.structs.replace(load_card(card), signature=signature)))


def make_keys(openssl: str, folder: Path, name: str = "release", *kind: str) -> KeyPair:
    """`name.key` and `name.pem` in the folder; of another `kind` than Ed25519 by the options of openssl."""
    private, public = folder / f"{name}.key", folder / f"{name}.pem"
    run(openssl, "genpkey", *(kind or ("-algorithm", "ed25519")), "-out", private)
    run(openssl, "pkey", "-in", private, "-pubout", "-out", public)
    private.chmod(0o600)
    return KeyPair(private=private, public=public)


def run(*command: str | Path) -> bytes:
    """What openssl says."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True).stdout
