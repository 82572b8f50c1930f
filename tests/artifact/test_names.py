"""Names of models and versions, and where they may lead."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.names import check_model_name, is_model_name, is_version, resolve_under
from service.errors import ArtifactError


@pytest.mark.parametrize("name", ["a", "digits", "digits-int8", "0", "v1.2_x", "a..b", "x" * 128])
def test_good_names(name: str) -> None:
    """Letters, digits, dots, dashes and underscores name a model."""
    assert name == check_model_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "_a", "a/b", "a\\b", "a b", "a\n", "ä", "x" * 129, "a\0"])
def test_bad_names(name: str) -> None:
    """Nothing that could be a path, an option or a hidden folder names a model."""
    assert not is_model_name(name)
    with pytest.raises(ArtifactError, match="model name"):
        check_model_name(name)


@given(st.text())
def test_names_never_traverse(text: str) -> None:
    """Whatever passes as a name is one plain component of a path."""
    if is_model_name(text):
        assert Path("/root") / text == (Path("/root") / text).absolute()
        assert Path("/root") == (Path("/root") / text).parent
        assert text not in (".", "..")


@pytest.mark.parametrize(
    "text,expected", [("1", True), ("42", True), ("0", False), ("01", False), ("-1", False), ("", False), ("1a", False)]
)
def test_versions(text: str, *, expected: bool) -> None:
    """A version is a positive number without leading zeros."""
    assert expected is is_version(text)


def test_versions_are_ascii_and_fit_64_bits() -> None:
    """Digits of other scripts and numbers beyond 64 bits aren't versions."""
    assert not is_version("٣")
    assert not is_version("9" * 19)


def test_resolve_inside(tmp_path: Path) -> None:
    """A path below the root resolves to itself, whether it exists or not."""
    assert tmp_path.resolve() / "a" / "1" == resolve_under(tmp_path, "a", "1")


@pytest.mark.parametrize("part", ["..", ".", "", "a/b", "/etc", "a\\b", "a\0b"])
def test_resolve_refuses_parts(tmp_path: Path, part: str) -> None:
    """A part that is more or less than one name is refused before the disk is asked."""
    with pytest.raises(ArtifactError, match=re.escape(repr(part))):
        resolve_under(tmp_path, part)


def test_resolve_refuses_links_out(tmp_path: Path) -> None:
    """A link that leaves the root is refused, one that stays inside is followed."""
    root = tmp_path / "root"
    (root / "real").mkdir(parents=True)
    (root / "inside").symlink_to("real")
    (root / "outside").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")

    assert root.resolve() / "real" == resolve_under(root, "inside")
    with pytest.raises(ArtifactError, match="outside is a link that leaves the repository"):
        resolve_under(root, "outside")
    with pytest.raises(ArtifactError, match="outside/x is a link"):
        resolve_under(root, "outside", "x")
    with pytest.raises(ArtifactError, match="loop can't be resolved"):
        resolve_under(root, "loop")
