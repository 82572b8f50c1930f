"""A disk that is full or read-only: nothing half-made is ever seen, the error says what to do, and later it works."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner, Result

from service.artifact.card import CARD_NAME, load_card, verify_files
from tests.training.limits import files_up_to
from tests.training.test_fit import SETTINGS, fit
from training import checkpoint, page
from training.__main__ import app
from training.data.split import Dataset
from training.durable import UNFINISHED, put
from training.export import Probabilities, export
from training.fit import STATE
from training.networks.resnet import ResNet
from training.publish import versions
from training.recipe import RECIPES, Recipe
from training.record import EVENTS, LOG
from training.steps.journal import Journal
from training.steps.telling import tell

KIB = 1024
NAMES = ["digits", "digits-int8", "digits-pruned", "digits-student", "digits-teacher"]
MENDED = "once that is mended, the same command goes on where it stopped"


def mount(folder: Path, options: str) -> None:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting isn't permitted here")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A small disk of that many KiB; asked again, the same one with another size."""
    folder = tmp_path / "disk"

    def sized(kib: int) -> Path:
        folder.mkdir(exist_ok=True)
        mount(folder, f"size={kib}k" + (",remount" if folder.is_mount() else ""))
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def runs(story: Path, tmp_path: Path) -> Path:
    """A run that is finished but for its publication."""
    shutil.copytree(story / "runs", tmp_path / "runs")
    return tmp_path / "runs"


def hone(verb: str, *arguments: str | Path, runs: Path) -> Result:
    words = [verb, "digits", *map(str, arguments), "--profile", "tiny", "--runs", str(runs)]
    return CliRunner().invoke(app, words)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.exists() else []


def check_whole(repository: Path) -> None:
    """Every model that can be seen is complete, and nothing else lies about."""
    for name in visible(repository):
        assert {"config.pbtxt", "labels.txt"} < set(visible(repository / name))
        assert versions(repository / name)
        for version in versions(repository / name):
            folder = repository / name / str(version)
            verify_files(load_card(folder / CARD_NAME), folder)
    assert [] == list(repository.rglob(".unfinished*"))


@pytest.mark.parametrize("kib", [8, 100, 230])
def test_a_disk_that_fills_up_while_publishing_shows_whole_models_only(
    runs: Path, disk: Callable[[int], Path], kib: int
) -> None:
    """Wherever space ends, what can be seen is whole, the error names the file, and with space the rest follows."""
    repository = disk(kib) / "models"
    failed = hone("publish", "--repository", repository, runs=runs)
    assert 1 == failed.exit_code
    assert "error: [Errno 28] No space left on device: " in failed.stderr
    assert str(repository) in failed.stderr
    assert MENDED in failed.stderr
    assert visible(repository) != NAMES
    check_whole(repository)

    disk(16 * KIB)
    assert 0 == hone("publish", "--repository", repository, runs=runs).exit_code
    assert NAMES == visible(repository)
    check_whole(repository)


@pytest.mark.parametrize("size", [0, 500, 8 * KIB, 60 * KIB])
def test_files_that_may_not_grow_show_whole_models_only(runs: Path, tmp_path: Path, size: int) -> None:
    """The same where a quota refuses a file: exit code 1, the file's name, nothing half-published."""
    repository = tmp_path / "models"
    with files_up_to(size):
        failed = hone("publish", "--repository", repository, runs=runs)
    assert 1 == failed.exit_code
    assert "error: [Errno 27] File too large: " in failed.stderr
    assert visible(repository) != NAMES
    check_whole(repository)
    assert 0 == hone("publish", "--repository", repository, runs=runs).exit_code
    assert NAMES == visible(repository)


@pytest.mark.parametrize("size", [0, 500, 8 * KIB, 60 * KIB])
def test_old_versions_outlive_a_failed_publication(story: Path, runs: Path, tmp_path: Path, size: int) -> None:
    """Whatever can't be written, the versions that are served stay byte for byte."""
    repository = tmp_path / "models"
    shutil.copytree(story / "models", repository)
    for name in NAMES:  # as if another training had made them
        (repository / name / "1" / "model.onnx").write_bytes(b"old")
        (repository / name / "1" / CARD_NAME).write_text("{}")
    before = {path: path.read_bytes() for path in repository.rglob("*") if path.is_file()}
    with files_up_to(size):
        assert 1 == hone("publish", "--repository", repository, runs=runs).exit_code
    assert before == {path: path.read_bytes() for path in before}
    assert 0 == hone("publish", "--repository", repository, runs=runs).exit_code
    assert [[1, 2]] * 5 == [versions(repository / name) for name in NAMES]
    assert b"old" == (repository / "digits" / "1" / "model.onnx").read_bytes()


def test_a_read_only_repository_is_named(runs: Path, tmp_path: Path) -> None:
    """Where nothing may be written, the error says so and where, and nothing changes."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    mount(folder, "ro,size=1m")
    try:
        failed = hone("publish", "--repository", folder / "models", runs=runs)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert 1 == failed.exit_code
    assert f"error: {folder}: isn't a folder that can be written to" in failed.stderr


@pytest.mark.parametrize("verb", ["publish", "export"])
def test_a_target_below_a_file_is_named(runs: Path, tmp_path: Path, verb: str) -> None:
    """A place that can't be written for anybody, root too, ends with 1 and its name."""
    (tmp_path / "file").write_text("mine")
    target = tmp_path / "file" / "models"
    words: list[str | Path] = ["--repository", target] if verb == "publish" else ["int8", "--to", target]
    failed = hone(verb, *words, runs=runs)
    assert 1 == failed.exit_code
    assert f"error: {tmp_path / 'file'}: isn't a folder that can be written to" in failed.stderr
    assert "mine" == (tmp_path / "file").read_text()


def test_an_export_that_does_not_fit_leaves_the_old_file(runs: Path, tmp_path: Path) -> None:
    """The file that lay there stays, nothing lies beside it, and with space the same command works."""
    target = tmp_path / "out" / "mine.onnx"
    target.parent.mkdir()
    target.write_bytes(b"old")
    with files_up_to(8 * KIB):
        failed = hone("export", "int8", "--to", target, runs=runs)
    assert 1 == failed.exit_code
    assert "File too large" in failed.stderr
    assert "mine.onnx" in failed.stderr
    assert ["mine.onnx"] == [path.name for path in target.parent.iterdir()]
    assert b"old" == target.read_bytes()
    assert 0 == hone("export", "int8", "--to", target, runs=runs).exit_code
    assert (runs / "digits" / "tiny" / "quantize" / "model.onnx").read_bytes() == target.read_bytes()


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path) -> None:
    """Whole, alone in its folder, and the error names where; a file that wasn't there isn't there then."""
    path, new = tmp_path / "report.html", tmp_path / "report.json"
    put(path, b"old")
    for one in (path, new):
        with files_up_to(KIB), pytest.raises(OSError, match=rf"File too large: .*{one.name}"):
            put(one, b"new" * KIB)
    assert (["report.html"], b"old") == ([one.name for one in tmp_path.iterdir()], path.read_bytes())
    put(path, b"new" * KIB)
    assert b"new" * KIB == path.read_bytes()


class Told(msgspec.Struct):
    """A report and a summary of a run that came to little."""

    def to_json(self) -> bytes:
        """Nothing of it."""
        return b"{}"


def test_a_page_that_does_not_fit_is_not_there(recipe: Recipe, tmp_path: Path) -> None:
    """Half a page would open in a browser as if it were all."""
    told: Any = Told()
    with Journal(recipe, tmp_path, Console(file=StringIO())) as journal:
        with files_up_to(8 * KIB), pytest.raises(OSError, match=r"File too large: .*report\.html"):
            tell(journal, told, told, lambda: "long" * 4 * KIB, page=page)
        assert not list(journal.folder.rglob("*report.html"))
        tell(journal, told, told, lambda: "long" * 4 * KIB, page=page)
        assert 16 * KIB == journal.path("report", "report.html").stat().st_size


def test_a_quota_that_grows_lets_a_run_go_on(tmp_path: Path) -> None:
    """Stamp, log, weights, curves: whatever doesn't fit is named, and with more space the same fit goes on."""
    words = ["train", "diabetes", "--profile", "tiny", "--runs", str(tmp_path)]
    named = []
    for size in (0, *(2**power for power in range(6, 20))):
        with files_up_to(size):
            done = CliRunner().invoke(app, words)
        if not done.exit_code:
            break
        assert 1 == done.exit_code
        assert MENDED in done.stderr
        named += re.findall(rf"\bfit/(?:{UNFINISHED})?([\w.-]+)(?:'|: can't)", done.stderr)
    assert ["step.json", LOG, STATE, "curves.png"] == list(dict.fromkeys(named))
    assert 0 == CliRunner().invoke(app, words).exit_code


def test_a_file_that_cannot_be_made_elsewhere_is_named(trained: ResNet, dataset: Dataset, tmp_path: Path) -> None:
    """A call is recorded in a temporary folder, which may be on another disk: that is the one to make space on."""
    with files_up_to(KIB), pytest.raises(OSError, match=rf"File too large: '{tempfile.gettempdir()}/[^/]+'"):
        export(Probabilities(trained), [dataset.test.inputs[:4]], tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_search_that_does_not_fit_is_named(tmp_path: Path) -> None:
    """What is told of the trials is there whole or as it was; the error names the file, and with space all is told."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text((RECIPES / "breast-cancer.yaml").read_text().replace("about: ", "about: " + "long " * 4 * KIB))
    words = ["tune", str(recipe), "--trials", "1", "--profile", "tiny", "--runs", str(tmp_path)]
    folder = tmp_path / "mine" / "tiny" / "tune"
    assert 0 == CliRunner().invoke(app, words).exit_code
    before = {path: path.read_bytes() for path in folder.iterdir() if path.name != "trials.jsonl"}
    for name, size in (("trials.jsonl", 0), ("best.yaml", 16 * KIB)):
        with files_up_to(size):
            failed = CliRunner().invoke(app, words)
        assert 1 == failed.exit_code
        assert re.search(rf"error: \[Errno 27\] File too large: .*{name}", failed.stderr)
        assert before == {path: path.read_bytes() for path in folder.iterdir() if path.name != "trials.jsonl"}
    assert 0 == CliRunner().invoke(app, words).exit_code


def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(dataset: Dataset, tmp_path: Path, quiet: Console) -> None:
    """A fit that can't save stops, names the file, keeps the epoch before, and goes on from there as if nothing was."""
    whole, history = fit(dataset, tmp_path / "whole", quiet)
    fit(dataset, tmp_path / "teacher", quiet, stop_after=2)
    before = (tmp_path / "teacher" / STATE).read_bytes()
    with files_up_to(len(before) // 2), pytest.raises(OSError, match=rf"^teacher/{STATE}: can't be written \(.*27"):
        fit(dataset, tmp_path / "teacher", quiet, SETTINGS)
    assert {STATE, LOG, EVENTS} == {path.name for path in (tmp_path / "teacher").iterdir()}
    assert before == (tmp_path / "teacher" / STATE).read_bytes()
    resumed, other = fit(dataset, tmp_path / "teacher", quiet)
    assert history == other
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_checkpoint_on_a_full_disk_leaves_nothing_behind(disk: Callable[[int], Path]) -> None:
    """On a disk that is really full the old checkpoint stays whole, and the space of the new one is given back."""
    folder = disk(64)
    tensors = {"x": torch.arange(8000)}
    checkpoint.write(folder / "a.safetensors", tensors, {"number": 1})
    with pytest.raises(OSError, match=r"^disk/a\.safetensors: can't be written"):
        checkpoint.write(folder / "a.safetensors", {"x": torch.zeros(8000, dtype=torch.int64)}, {"number": 2})
    assert ["a.safetensors"] == [path.name for path in folder.iterdir()]
    found, facts = checkpoint.read(folder / "a.safetensors")
    assert torch.equal(tensors["x"], found["x"])
    assert {"number": 1} == facts
