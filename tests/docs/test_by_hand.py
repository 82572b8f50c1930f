"""What docs/by-hand.md says of students of a file and of masks, run as it is."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from tests.architecture.sources import ROOT
from training.__main__ import app
from training.compression.pruning.masks import NO_SPEED

PAGE = (ROOT / "docs" / "by-hand.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(TEACHER,) = re.findall(r"^cp (\S+) finished.onnx$", PAGE, re.MULTILINE)
(COMMAND,) = re.findall(r"^hone-train (.+)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The names that the snippets leave, in the folder that they were run in."""
    names: dict[str, Any] = {}
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("by-hand"))
        shutil.copy(ROOT / TEACHER, "finished.onnx")
        for snippet in SNIPPETS:
            exec(snippet, names)
        yield names
    torch.set_num_threads(threads)


def test_the_page_is_understood() -> None:
    """Nothing on it goes unrun."""
    assert 3 == len(SNIPPETS)
    assert PAGE.count("```") == 2 * (len(SNIPPETS) + 2)


def test_the_student_agrees_with_its_teacher(found: dict[str, Any]) -> None:
    """On inputs that it never saw, far beyond the tenth that chance would give; also after masks and another fit."""
    for path in ("student.onnx", "masked.onnx"):
        assert found["agreement"](found["finished"], Path(path), found["unseen"].inputs) > 0.9


def test_masks_make_the_compressed_file_smaller(found: dict[str, Any]) -> None:
    """Nearly half of the weights are zero, the file is as large as before, and the page says what isn't gained."""
    before, after = found["before"], found["after"]
    assert before.size == pytest.approx(after.size, rel=0.01)
    assert after.compressed < 0.7 * before.compressed
    assert after.zeros > 0.45
    assert NO_SPEED.partition(":")[0] in PAGE.replace("\n", " ")


@pytest.mark.usefixtures("found")
def test_the_student_is_compressed_further() -> None:
    """By the page's command, in less time."""
    told = CliRunner().invoke(app, [*COMMAND.split(), "--minutes", "0.01"])
    assert 0 == told.exit_code, told.output
    assert Path("runs/student/file/compress/compress.html").exists()
