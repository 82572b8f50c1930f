"""What a version's card says of texts, read when the version is loaded."""

import sys
from pathlib import Path

import pytest

from service.engine import transformation
from service.engine.source import ModelSource, source_of
from service.engine.transformation import read_transformation
from service.errors import ArtifactError
from service.repository.scan import scan
from tests.integration.classifier import write_classifier

FAULTS = {"exec kill -9 $$": "ended the process that tried: -9", "exec sleep 60": r"within 0\.2 s"}


@pytest.fixture
def source(tmp_path: Path) -> ModelSource:
    """A classifier of texts."""
    write_classifier(tmp_path, "topics")
    (folder,) = scan(tmp_path)
    return source_of("topics", folder.versions[0], folder.config)


def test_a_tokenizer_is_tried(source: ModelSource) -> None:
    """One that is as the card has it is kept, with what is made by it."""
    found = read_transformation(source)

    assert found
    assert "text" == found.medium
    assert (Path(source.path).parent / "tokenizer.json").read_bytes() == found.tokenizer


@pytest.mark.parametrize("fault", FAULTS)
def test_a_process_that_does_not_come_back_is_the_file_s_fault(
    source: ModelSource, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version isn't served, and whoever waits for it isn't kept waiting."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{fault}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(transformation, "_SECONDS", 0.2 if "sleep" in fault else 60.0)

    with pytest.raises(ArtifactError, match=rf"^topics/1/tokenizer\.json: .*{FAULTS[fault]}"):
        read_transformation(source)
