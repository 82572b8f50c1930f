"""The key that cards are signed with: kept to oneself, and said to be wrong before anything is done."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from tests.signing_keys import RequireTool, make_keys, run
from training.signing_key import read_signing_key


@pytest.fixture
def openssl(require_tool: RequireTool) -> str:
    return require_tool("openssl")


def test_a_key_of_openssl_is_read(openssl: str, tmp_path: Path) -> None:
    """And doesn't show itself."""
    keys = make_keys(openssl, tmp_path)
    key = read_signing_key(keys.private)
    assert key.sign(b"a card").startswith(f"ed25519:{keys.name}:")
    assert "SigningKey()" == repr(key)


def test_a_key_that_others_can_read_is_refused(openssl: str, tmp_path: Path) -> None:
    """As ssh does it."""
    private = make_keys(openssl, tmp_path).private
    for mode in (0o640, 0o604):
        private.chmod(mode)
        with pytest.raises(SettingsError, match=r"release\.key: is open to other users; chmod 600"):
            read_signing_key(private)


def test_what_cannot_sign_is_named(openssl: str, tmp_path: Path) -> None:
    """A public key, an encrypted one, one of another kind, any other file, and none."""
    keys = make_keys(openssl, tmp_path)
    locked = tmp_path / "locked.key"
    run(openssl, "pkey", "-in", keys.private, "-aes256", "-passout", "pass:secret", "-out", locked)
    other = make_keys(openssl, tmp_path, "other", "-algorithm", "X25519").private
    text = tmp_path / "text.key"
    text.write_text("-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n")
    for path, problem in (
        (keys.public, "isn't a private key in PEM"),
        (locked, "is encrypted"),
        (other, "is a key of another kind"),
        (text, "isn't a private key in PEM"),
        (tmp_path / "missing.key", r"can't be read \(No such file or directory\)"),
    ):
        for mode in (0o600, 0o644):  # what is no key at all isn't made one by keeping it to oneself
            if path.exists():
                path.chmod(mode)
            with pytest.raises(SettingsError, match=rf"{path.name}: {problem}"):
                read_signing_key(path)
