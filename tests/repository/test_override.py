"""The folder of a model that is sent along: what is in it is checked as in a repository, and it doesn't stay."""

import subprocess
import sys
from pathlib import Path

from service.artifact.config import parse_json_config
from service.repository.checks import Checks
from service.repository.override import SentFolder
from tests.repository.cards import card_of

SCRIPT = """
import resource
from service.artifact.config import parse_json_config
from service.errors import ArtifactError
from service.repository.checks import Checks
from service.repository.override import SentFolder

config = parse_json_config("{}", name="m", source="config")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    SentFolder("m", config, {"1/small": bytes(500), "1/model.onnx": bytes(5000)}, Checks())
except ArtifactError as error:
    print(error)
"""


def sent(files: dict[str, bytes], config: str = "{}", checks: Checks | None = None) -> SentFolder:
    return SentFolder("m", parse_json_config(config, name="m", source="config"), files, checks or Checks())


def test_versions_are_what_the_paths_name() -> None:
    """The configuration that came along says which of them are served, and what their file is called."""
    config = '{"version_policy": {"all": {}}, "default_model_filename": "net.onnx", "max_batch_size": 3}'
    folder = sent({"3/net.onnx": b"three", "12/net.onnx": b"twelve", "5/other.onnx": b"five"}, config)
    found = folder.take()

    assert [12, 3] == [version.version for version in found.versions]
    assert [b"twelve", b"three"] == [version.model_path.read_bytes() for version in found.versions]
    assert all(version.mark for version in found.versions)
    assert {5: "m/5/net.onnx: no such file"} == found.refused
    assert found.config
    assert 3 == found.config.max_batch_size
    folder.close()
    assert not found.path.exists()
    folder.close()


def test_a_version_that_is_no_good_is_left_out_from_then_on() -> None:
    """The next best takes its place, with the reason told; when none is left the model has a problem."""
    folder = sent({"1/model.onnx": b"one", "2/model.onnx": b"two"})
    assert [2] == [version.version for version in folder.take().versions]
    found = folder.again({2: "m/2: it's bad"}, ())
    assert ([1], {2: "m/2: it's bad"}) == ([version.version for version in found.versions], found.refused)
    found = folder.again({1: "m/1: so is this"}, ())
    assert ((), "m/2: it's bad") == (found.versions, found.problem)
    folder.close()


def test_what_the_operator_demands_holds_here_too(tmp_path: Path) -> None:
    """Cards, their digests, and the size of a model's file."""
    (tmp_path / "model.onnx").write_bytes(b"model")
    card = card_of(tmp_path)
    for files, checks, problem in (
        ({"1/model.onnx": b"model", "1/card.json": card}, Checks(require_card=True), None),
        ({"1/model.onnx": b"other", "1/card.json": card}, Checks(), "model.onnx"),
        ({"1/model.onnx": b"model"}, Checks(require_card=True), "a card is required"),
        ({"1/model.onnx": b"model"}, Checks(max_model_bytes=4), "the limit is 4"),
    ):
        folder = sent(files, checks=checks)
        found = folder.take().problem
        assert found is problem if problem is None else problem in str(found)
        folder.close()


def test_nobody_else_can_look_into_it() -> None:
    """The folder that all of it lies in is its user's alone."""
    folder = sent({"1/model.onnx": b"model"})
    assert 0 == folder.take().path.parent.stat().st_mode & 0o077
    folder.close()


def test_a_disk_that_is_full_is_said_to_be(tmp_path: Path) -> None:
    """In a line without a path, and nothing of the files is left."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True, env={"TMPDIR": str(tmp_path)}
    )

    assert "m: the files that were sent along can't be kept for the load: File too large\n" == done.stdout
    assert [] == list(tmp_path.iterdir())
