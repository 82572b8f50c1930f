"""Which keys are trusted: what a file or a folder holds, and what is wrong with it."""

from pathlib import Path

import pytest

from service.artifact.trusted_keys import read_trusted_keys
from service.errors import SettingsError
from tests.signing_keys import KeyPair, RequireTool, make_keys


@pytest.fixture
def old(tmp_path: Path, require_tool: RequireTool) -> KeyPair:
    (tmp_path / "keys").mkdir()
    return make_keys(require_tool("openssl"), tmp_path / "keys", "2025")


@pytest.fixture
def new(old: KeyPair, tmp_path: Path, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path / "keys", "2026")


def test_a_file_holds_one_or_several_keys(old: KeyPair, new: KeyPair, tmp_path: Path) -> None:
    """One after the other, with text around them; each is known by the file's name."""
    assert {old.name: "2025.pem"} == read_trusted_keys(old.public)
    both = tmp_path / "both"
    both.write_text(f"the old one\n{old.public.read_text()}and the new one:\n\n{new.public.read_text()}")
    assert {old.name: "both", new.name: "both"} == read_trusted_keys(both)


def test_a_folder_holds_a_file_for_each(old: KeyPair, new: KeyPair) -> None:
    """Those that end in .pem, behind links as well; other files may lie there too."""
    folder = old.public.parent
    (folder / "README").write_text("-----BEGIN nothing")
    name = new.name
    (folder / "new.pem").symlink_to(new.public.rename(folder / "..data"))
    assert {old.name: "2025.pem", name: "new.pem"} == read_trusted_keys(folder)


@pytest.mark.parametrize(
    "content,text",
    [
        (b"", "holds no whole key in PEM"),
        (b"\xff\xfe\x00", "holds no whole key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nMCow", "holds no whole key in PEM"),
        (b"-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", "can't be read as a public key"),
        (
            b"-----BEGIN CERTIFICATE-----\nMCow\n-----END CERTIFICATE-----\n",
            r"can't be read as a public key \(BEGIN CERT",
        ),
    ],
)
def test_what_is_no_key_is_named(tmp_path: Path, content: bytes, text: str) -> None:
    """A file that is empty, binary, cut off, damaged or of another kind."""
    (tmp_path / "a.pem").write_bytes(content)
    for path in (tmp_path / "a.pem", tmp_path):
        with pytest.raises(SettingsError, match=rf"^a\.pem: {text}"):
            read_trusted_keys(path)


def test_a_key_behind_a_good_one_counts(old: KeyPair) -> None:
    """A file is taken as a whole: half a key at its end isn't overlooked."""
    old.public.write_text(old.public.read_text() + "-----BEGIN PUBLIC KEY-----\nMCow")
    with pytest.raises(SettingsError, match=r"^2025\.pem: is cut off"):
        read_trusted_keys(old.public)


def test_a_private_key_has_no_business_here(old: KeyPair) -> None:
    """It is refused, so that it doesn't come to lie on servers."""
    with pytest.raises(SettingsError, match=r"2025\.key: is a private key, which belongs to whoever signs"):
        read_trusted_keys(old.private)


def test_a_key_of_another_kind(tmp_path: Path, require_tool: RequireTool) -> None:
    """RSA, and other curves, are named as such."""
    curve = make_keys(
        require_tool("openssl"), tmp_path, "ec", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"
    )
    with pytest.raises(SettingsError, match=r"ec\.pem: holds a key of another kind"):
        read_trusted_keys(curve.public)


def test_where_there_is_nothing(tmp_path: Path) -> None:
    """A missing file and a folder without keys are refused: nobody is trusted by mistake, and nothing is."""
    with pytest.raises(SettingsError, match=r"missing: can't be read \(No such file or directory\)"):
        read_trusted_keys(tmp_path / "missing")
    with pytest.raises(SettingsError, match=r"no file in this folder ends in \.pem"):
        read_trusted_keys(tmp_path)
