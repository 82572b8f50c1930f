"""Grafana's password, as `make up` makes and checks it."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.docker.dotenv import dotenv
from deploy.docker.password import PasswordError, ensure_password
from tests.architecture.sources import ROOT

Up = Callable[..., "subprocess.CompletedProcess[str]"]


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    """A password file as somebody wrote it."""
    path = folder / "grafana_password"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_missing_password_is_made(tmp_path: Path) -> None:
    """The first start makes a long password that only this user can read, in a folder of the same kind."""
    path = ensure_password(tmp_path / "secrets")

    assert len(path.read_text().strip()) >= 32
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)


def test_two_passwords_differ(tmp_path: Path) -> None:
    """Each is made anew."""
    made = [ensure_password(tmp_path / name).read_text() for name in ("one", "other")]

    assert made[0] != made[1]


def test_a_password_stays(tmp_path: Path) -> None:
    """One that is there is used as it is."""
    written(tmp_path, "correct horse\n")

    assert "correct horse\n" == ensure_password(tmp_path).read_text()


@pytest.mark.parametrize("text", ["", "\n", "  \n\n"])
def test_an_empty_password_is_refused(tmp_path: Path, text: str) -> None:
    """Grafana would take its own well-known one."""
    path = written(tmp_path, text)

    with pytest.raises(PasswordError, match=f"{path} is empty; write a password into it, or remove it"):
        ensure_password(tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_an_open_password_is_refused(tmp_path: Path, mode: int) -> None:
    """What others can read or write is no secret, and the refusal says how to mend that."""
    path = written(tmp_path, "correct horse", mode)

    with pytest.raises(PasswordError, match=f"{path} is open to others .mode {mode:o}.: chmod 600 {path}"):
        ensure_password(tmp_path)


def test_a_folder_is_no_password(tmp_path: Path) -> None:
    """An engine makes a folder of a file that it was to mount and that wasn't there."""
    (tmp_path / "grafana_password").mkdir()

    with pytest.raises(PasswordError, match="isn't a file"):
        ensure_password(tmp_path)


def test_a_folder_that_cant_be_made_is_named(tmp_path: Path) -> None:
    """Where no password can be written, the place is named."""
    (tmp_path / "file").touch()

    with pytest.raises(PasswordError, match=f"{tmp_path}/file/secrets/grafana_password: Not a directory"):
        ensure_password(tmp_path / "file" / "secrets")


def test_nothing_starts_with_a_bad_password(tmp_path: Path) -> None:
    """`make up` says what is wrong in one line, with exit code 2, before it asks Docker for anything."""
    written(tmp_path, "")
    environment = {**os.environ, "HONE_SECRETS": str(tmp_path), "COMPOSE": "/nonexistent/docker-compose"}
    command = [sys.executable, "-m", "deploy.docker", "hone", "grafana"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert 2 == done.returncode
    assert 1 == len(done.stderr.splitlines())
    assert "is empty" in done.stderr


@pytest.fixture
def up(tmp_path: Path) -> Up:
    """`make up` in a folder of its own, with a docker-compose that says what it was told."""
    compose = tmp_path / "compose"
    compose.write_text('#!/bin/sh\n[ "$1" != up ] || echo "$HONE_UID in $HONE_SECRETS"\n')
    compose.chmod(0o755)
    bare = {name: value for name, value in os.environ.items() if name not in {"HONE_UID", "HONE_SECRETS"}}

    def run(*services: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**bare, "COMPOSE": str(compose), "PYTHONPATH": str(ROOT), **variables}
        command = [sys.executable, "-m", "deploy.docker", *services]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


def test_without_grafana_there_is_no_password(up: Up, tmp_path: Path) -> None:
    """None is made, and one that is bad stops nothing."""
    assert 0 == up("hone", "prometheus").returncode
    assert not (tmp_path / "secrets").exists()
    written(tmp_path, "")
    assert 0 == up("hone", HONE_SECRETS=str(tmp_path)).returncode
    assert 2 == up("grafana", HONE_SECRETS=str(tmp_path)).returncode


def test_dotenv_counts_where_the_environment_says_nothing(up: Up, tmp_path: Path) -> None:
    """The password is made where it says, and docker-compose is told the same."""
    assert f"{os.getuid()} in {tmp_path}/secrets\n" in up("grafana").stdout
    (tmp_path / ".env").write_text("HONE_UID=4711 # whose\n#HONE_SECRETS=no\nexport HONE_SECRETS='./my own'\n")

    done = up("grafana")
    assert f"4711 in {tmp_path}/my own\n" in done.stdout
    assert "password in my own/grafana_password" in done.stdout
    assert (tmp_path / "my own" / "grafana_password").is_file()
    assert f"12 in {tmp_path}/my own\n" in up("grafana", HONE_UID="12").stdout


@pytest.mark.parametrize(
    "line, value",
    [
        ("A=b", "b"),
        (" A = b c  ", "b c"),
        ("A=b#c # d", "b#c"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A='b # c'", "b # c"),
        ('export A="b"', "b"),
        ("#A=b", None),
    ],
)
def test_lines_of_dotenv(line: str, value: str | None, tmp_path: Path) -> None:
    """As docker-compose reads them; others stay what they are."""
    (tmp_path / ".env").write_text(f"X=1\n{line}\nY=2\n")

    assert {"X": "1", "Y": "2", **({} if value is None else {"A": value})} == dotenv(tmp_path / ".env")
