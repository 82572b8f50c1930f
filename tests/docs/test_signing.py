"""docs/signing.md: its commands, one after the other, as somebody would type them."""

import re
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from service.profiling import ProfileSettings
from tests.architecture.sources import ROOT
from tests.signing_keys import RequireTool
from training.__main__ import app

PAGE = (ROOT / "docs" / "signing.md").read_text()
AS_INSTALLED = f"""set -e
hone-train() {{ {sys.executable} -m training "$@" --profile tiny; }}
hone-serve() {{ COLUMNS=200 {sys.executable} -m service "$@"; }}
"""


def test_the_commands_do_what_the_page_says(tmp_path: Path, require_tool: RequireTool) -> None:
    """Keys are made, a model is signed with one, found to be, and by openssl alone too; the private key is private."""
    require_tool("openssl")
    script = AS_INSTALLED + "".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["/bin/bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    key = (tmp_path / "release.pem").read_text().splitlines()[1][-44:]
    assert f"version 1: its signature is valid, by {key} (release.pem)" in done.stdout
    assert done.stdout.endswith("Signature Verified Successfully\n")
    assert 0 == (tmp_path / "release.key").stat().st_mode & 0o077


def test_the_flags_of_the_page_are_there() -> None:
    """Each `--flag` that it names is one of the trainer's or of the server's."""
    told = CliRunner().invoke(app, ["publish", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    flags = {f"--{(field.alias or name).replace('_', '-')}" for name, field in ProfileSettings.model_fields.items()}
    assert [] == [flag for flag in re.findall(r"--[a-z][a-z-]+", PAGE) if flag not in flags and flag not in told]
