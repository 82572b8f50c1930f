"""Folders of models that another server computes."""

from pathlib import Path

import pytest

from service.repository.checks import Checks
from service.repository.scan import scan_model

REMOTE = 'parameters { key: "hone.remote" value { string_value: "east" } }\n'


def write(root: Path, text: str) -> None:
    (root / "m").mkdir()
    (root / "m" / "config.pbtxt").write_text(REMOTE + text)


@pytest.mark.parametrize(
    "text, versions",
    [
        ("", [1]),
        ("version_policy { all { } }", [1]),
        ("version_policy { specific { versions: [ 3, 7 ] } }", [7, 3]),
    ],
)
def test_a_config_is_enough(tmp_path: Path, text: str, versions: list[int]) -> None:
    """No version folder is needed: there is one version, or those that the remote is to be asked for."""
    write(tmp_path, text)
    found = scan_model(tmp_path, "m")

    assert (None, ()) == (found.problem, found.warnings)
    assert versions == [version.version for version in found.versions]
    assert {tmp_path / "m" / "config.pbtxt"} == {version.model_path for version in found.versions}


def test_what_has_no_effect(tmp_path: Path) -> None:
    """What only the remote could honour is named in a warning."""
    policy = "default_queue_policy { max_queue_size: 4 default_timeout_microseconds: 9 }"
    graphs = 'parameters { key: "hone.cuda_graphs" value { string_value: "true" } }'
    write(tmp_path, f"instance_group {{ count: 2 }} {graphs} dynamic_batching {{ {policy} }}")

    assert (
        "m/config.pbtxt: instance_group is the remote server's and is ignored",
        "m/config.pbtxt: hone.cuda_graphs is the remote server's and is ignored",
        "m/config.pbtxt: default_timeout_microseconds is the remote server's and is ignored",
    ) == scan_model(tmp_path, "m").warnings


@pytest.mark.parametrize(
    "text, words",
    [
        ('backend: "onnxruntime"', "another server computes, so leave backend and platform out"),
        ('platform: "onnxruntime_onnx"', "another server computes, so leave backend and platform out"),
        (
            'parameters { key: "hone.precision" value { string_value: "f16" } }',
            "hone.precision is the remote",
        ),
        (
            'parameters { key: "hone.batch_tolerance" value { string_value: "1" } }',
            "hone.batch_tolerance is the",
        ),
        (
            'parameters { key: "hone.length.x" value { string_value: "axis=1 buckets=16" } }',
            "hone.length.x is the remote server's",
        ),
    ],
)
def test_what_cannot_be_promised(tmp_path: Path, text: str, words: str) -> None:
    """A config that asks for what only a backend of ours could do is refused."""
    write(tmp_path, text)

    assert words in (scan_model(tmp_path, "m").problem or "")


def test_a_card_is_required(tmp_path: Path) -> None:
    """Where every model needs a card, one that has no files isn't served."""
    write(tmp_path, "")
    problem = scan_model(tmp_path, "m", Checks(require_card=True).check).problem

    assert problem == "m/config.pbtxt: a card is required, and a model of a remote server has none"


@pytest.mark.parametrize("name", ["", "grpc://h:1", "a b", "h:1", "../x"])
def test_never_an_address(tmp_path: Path, name: str) -> None:
    """The config names a remote, and never says where it is."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.pbtxt").write_text(REMOTE.replace("east", name))

    assert "expected the NAME of a --remote NAME=URL" in (scan_model(tmp_path, "m").problem or "")
