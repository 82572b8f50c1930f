"""`--sign`: what is published is signed, and a service that demands it serves that."""

from pathlib import Path

import pytest
import tritonclient.http
from typer.testing import CliRunner

from tests.integration.served import serving
from tests.signing_keys import KeyPair, RequireTool, make_keys
from tests.training.imports.graphs import linear, saved
from training.__main__ import app


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("keys"))


def test_an_import_is_signed_and_served(keys: KeyPair, tmp_path: Path) -> None:
    """With labels, by a service that trusts this key and no card else."""
    model = saved(linear(), tmp_path, "rows.onnx")
    (tmp_path / "labels.txt").write_text("cat\ndog\nowl\n")
    words = ["import", model, "--name", "rows", "--labels", tmp_path / "labels.txt", "--sign", keys.private]
    told = CliRunner().invoke(app, [str(word) for word in (*words, "--repository", tmp_path / "models")])
    assert 0 == told.exit_code, told.output
    with (
        serving(tmp_path / "models", "--require-signature", str(keys.public)) as served,
        tritonclient.http.InferenceServerClient(served.http.removeprefix("http://")) as client,
    ):
        assert client.is_model_ready("rows")


@pytest.mark.parametrize("verb", ["publish", "import"])
def test_a_key_that_cannot_sign_is_found_out_first(keys: KeyPair, tmp_path: Path, verb: str) -> None:
    """Exit code 2 and a line, before anything is trained or written."""
    words = {
        "publish": ["publish", "wine", "--runs", str(tmp_path / "runs")],
        "import": ["import", "a.onnx", "--name", "a"],
    }
    for key, problem in ((keys.public, "isn't a private key"), (tmp_path / "missing.key", "can't be read")):
        told = CliRunner().invoke(app, [*words[verb], "--sign", str(key), "--repository", str(tmp_path / "models")])
        assert (2, True) == (told.exit_code, told.stderr.startswith(f"error: {key}: ")), told.stderr
        assert problem in told.stderr
    assert [] == list(tmp_path.iterdir())
